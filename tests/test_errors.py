from adframe.errors import unknown


def test_suggests_the_nearest_and_lists_all() -> None:
    text = unknown("category", "botle", ["cable", "bottle"], where="in /data")
    assert text == "unknown category 'botle' in /data; did you mean 'bottle'? known: cable, bottle"


def test_suggests_nothing_where_nothing_is_near() -> None:
    assert unknown("layer", "xyz", ["bottle"]) == "unknown layer 'xyz'; known: bottle"
    assert unknown("layer", "xyz", []).endswith("known: nothing")


def test_a_long_list_is_cut_to_what_is_near() -> None:
    text = unknown("model", "net7", (f"net{n}" for n in range(100)), limit=3)
    assert "near it: net7" in text
    assert text.count("net") <= 6
    assert "\n" not in text
