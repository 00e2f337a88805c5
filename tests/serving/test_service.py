"""What the service answers: pictures, limits, tokens, malformed requests, many clients, and the stop."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from adframe.errors import AdframeError
from adframe.inference.drift_reference import DriftReference
from adframe.inference.score_log import read_score_log
from adframe.serving.models import DriftState
from adframe.serving.openapi import openapi
from adframe.serving.server import open_socket
from adframe.serving.settings import ServiceSettings
from adframe.stats.drift_monitor import DriftSettings
from tests.serving.serving import Running, multipart, picture, running


@pytest.fixture(scope="module")
def service():
    with running() as found:
        yield found


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_a_picture_as_the_body_gets_its_result(service: Running, kind: str) -> None:
    for value, decision in ((50, "normal"), (200, "anomalous")):
        status, found = service.predict(picture(value, kind=kind), content_type="image/any")
        [result] = found["results"]
        assert (status, found["model"], result["decision"]) == (200, "mean", decision)
        assert result["score"] == pytest.approx(value, abs=2)
        assert (result["height"], result["width"]) == (4, 6)
        assert len(result["regions"]) == (decision == "anomalous")


def test_pictures_of_16_bits_reach_the_model_with_all_of_them(service: Running) -> None:
    out = io.BytesIO()
    Image.fromarray(np.full((4, 6), 257 * 120 + 64, np.uint16)).save(out, "PNG")
    status, found = service.predict(out.getvalue())
    assert status == 200
    assert found["results"][0]["score"] == pytest.approx(120 + 64 / 257)
    assert found["results"][0]["image"] == "picture"


def test_several_pictures_keep_their_order_and_a_broken_one_is_a_result(service: Running) -> None:
    body, kind = multipart([("a.png", picture(10)), ("../x/b.png", b"no picture"), ("c.png", picture(250))])
    status, found = service.predict(body, content_type=kind)
    assert status == 200
    assert [each["decision"] for each in found["results"]] == ["normal", "error", "anomalous"]
    assert [each["image"] for each in found["results"]] == ["a.png", "b.png", "c.png"]
    assert "no PNG, JPEG" in found["results"][1]["error"]


def test_an_overlay_is_a_png_with_the_result_in_a_header(service: Running) -> None:
    status, headers, content = service.ask(
        "POST", "/v1/models/mean/predict", picture(200), {"Accept": "image/png"}
    )
    assert (status, headers["content-type"]) == (200, "image/png")
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (6, 4)
    assert json.loads(headers["adframe-result"])["decision"] == "anomalous"
    body, kind = multipart([("a.png", picture(10)), ("b.png", picture(20))])
    assert service.predict(body, content_type=kind, accept="image/png")[0] == 406
    assert service.predict(picture(1), accept="text/html")[0] == 406
    assert service.predict(picture(1), accept="text/html, */*;q=0.5")[0] == 200


def code_of(answer: tuple[int, dict]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


def test_refusals_say_what_is_wrong(service: Running) -> None:
    assert code_of(service.predict(b"")) == (400, "no_picture")
    assert code_of(service.predict(b"\x00" * 100)) == (422, "unreadable")
    assert code_of(service.predict(picture(5)[:48])) == (422, "unreadable")
    assert code_of(service.predict(b"{}", content_type="application/json")) == (415, "unsupported")
    assert code_of(service.predict(b"abc", content_type="multipart/form-data")) == (400, "malformed")
    status, _, content = service.ask("POST", "/v1/models/none/predict", picture(1))
    assert code_of((status, json.loads(content))) == (404, "no_model")
    assert service.ask("GET", "/v1/models/mean/predict")[0] == 405
    status, _, content = service.ask("GET", "/elsewhere")
    assert code_of((status, json.loads(content))) == (404, "no_route")
    status, _, content = service.ask("GET", "/v1/models/mean/drift")
    assert code_of((status, json.loads(content))) == (404, "no_drift")


def test_a_page_of_another_site_does_not_reach_a_local_service(service: Running) -> None:
    assert service.ask("GET", "/v1/models", headers={"Host": "evil.example"})[0] == 400
    local = f"localhost:{service.port}"
    assert service.ask("GET", "/v1/models", headers={"Host": local})[0] == 200
    form = {"content_type": "application/x-www-form-urlencoded", "host": local}
    assert code_of(service.predict(picture(1), origin="https://evil.example", **form)) == (403, "origin")
    assert code_of(service.predict(picture(1), origin="null", **form)) == (403, "origin")
    assert service.predict(picture(1), origin=f"http://{local}", **form)[0] == 200


def test_a_picture_that_breaks_the_model_costs_no_other_its_result(service: Running) -> None:
    bad = picture(13, size=(13, 13))
    service.detector.may_work.clear()
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(service.predict, each) for each in (picture(1), bad, picture(2), picture(3))]
        time.sleep(0.5)  # so that they form batches
        service.detector.may_work.set()
        statuses = [answer.result()[0] for answer in answers]
    assert statuses == [200, 500, 200, 200]
    assert "/secret/path" not in str(answers[1].result())
    assert any(event["event"] == "error" and "/secret/path" in event["text"] for event in service.events())


def test_the_description_names_every_route_and_the_pages_load_nothing_from_elsewhere(
    service: Running,
) -> None:
    found = json.loads(service.ask("GET", "/openapi.json")[2])
    assert found == openapi(ServiceSettings(), models=["mean"], version=found["info"]["version"])
    for path, methods in found["paths"].items():
        for method in methods:
            address = path.replace("{name}", "mean")
            assert service.ask(method.upper(), address)[0] not in (405,)
            assert service.ask(method.upper(), address)[0] != 404 or "drift" in address
    for address in ("/", "/docs"):
        status, headers, content = service.ask("GET", address)
        assert status == 200
        assert b"http://" not in content
        assert b"https://" not in content
        assert "default-src 'none'" in headers["content-security-policy"]


def test_health_readiness_metrics_and_log(service: Running) -> None:
    service.predict(picture(77))
    assert service.ask("GET", "/healthz")[0] == 200
    assert json.loads(service.ask("GET", "/readyz")[2]) == {"status": "ok", "models": {"mean": True}}
    text = service.ask("GET", "/metrics")[2].decode()
    assert 'adframe_pictures_total{decision="normal",model="mean"}' in text
    assert 'adframe_waiting_pictures{model="mean"} 0.0' in text
    assert "process_resident_memory_bytes" in text
    event = service.events()[-1]
    assert event["event"] == "request"
    assert (event["route"], event["status"], event["pictures"]) == ("/v1/models/{name}/predict", 200, 1)
    assert event["decisions"] == ["normal"]


def test_limits_are_checked_before_the_work() -> None:
    with running(most_bytes=2000, most_pixels=100, most_pictures=2) as service:
        assert code_of(service.predict(bytes(3000))) == (413, "too_large")
        # Without a stated length, the body is counted while it arrives.
        head = (
            b"POST /v1/models/mean/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        assert b" 413 " in service.raw(head + b"1000\r\n" + bytes(4096) + b"\r\n").partition(b"\r\n")[0]
        assert code_of(service.predict(picture(1, size=(20, 20)))) == (413, "too_many_pixels")
        body, kind = multipart([(f"{number}.png", picture(1)) for number in range(3)])
        assert code_of(service.predict(body, content_type=kind)) == (413, "too_many")
        bomb = io.BytesIO()
        Image.new("1", (30_000, 30_000)).save(bomb, "PNG", optimize=True)
        assert service.detector.batches == []
        assert service.predict(picture(1))[0] == 200
    with running(most_bytes=10 << 20) as service:
        start = time.monotonic()
        assert code_of(service.predict(bomb.getvalue())) == (413, "too_many_pixels")
        assert time.monotonic() - start < 5
        info = PngImagePlugin.PngInfo()
        info.add_text("comment", "x" * (2 << 20), zip=True)
        out = io.BytesIO()
        Image.new("RGB", (4, 4)).save(out, "PNG", pnginfo=info)
        assert service.predict(out.getvalue())[0] == 422


def test_a_token_is_asked_for_everywhere_but_on_pages_and_probes() -> None:
    token = "a-long-enough-token"
    with running(token=token) as service:
        for path in ("/", "/docs", "/healthz", "/readyz"):
            assert service.ask("GET", path)[0] == 200
        for path in ("/metrics", "/v1/models", "/openapi.json", "/v1/models/mean/drift"):
            assert service.ask("GET", path)[0] == 401
        assert code_of(service.predict(picture(1))) == (401, "token")
        assert service.predict(picture(1), authorization="Bearer wrong")[0] == 401
        assert service.predict(picture(1), authorization=f"Bearer {token}")[0] == 200
        assert token not in service.log.getvalue()
    with pytest.raises(AdframeError, match="16 characters"):
        ServiceSettings(token="short")
    with pytest.raises(AdframeError, match="queue=0"):
        ServiceSettings(queue=0)


def test_beyond_the_queue_the_answer_is_503_and_nothing_is_lost() -> None:
    with running(queue=4, batch_size=2) as service, ThreadPoolExecutor(20) as pool:
        service.detector.may_work.clear()
        answers = [pool.submit(service.predict, picture(number)) for number in range(20)]
        time.sleep(1)
        assert service.ask("GET", "/readyz")[0] == 503
        assert service.ask("GET", "/healthz")[0] == 200
        service.detector.may_work.set()
        found = [answer.result() for answer in answers]
        assert sorted({status for status, _ in found}) == [200, 503]
        accepted = [(n, body) for n, (status, body) in enumerate(found) if status == 200]
        assert len(accepted) >= 4
        assert all(body["results"][0]["score"] == n for n, body in accepted)
        assert all(body["error"]["code"] == "busy" for status, body in found if status == 503)
        assert service.ask("GET", "/readyz")[0] == 200


def test_requests_share_batches() -> None:
    with running(batch_size=8) as service, ThreadPoolExecutor(9) as pool:
        service.detector.may_work.clear()
        answers = [pool.submit(service.predict, picture(number)) for number in range(9)]
        time.sleep(1)
        service.detector.may_work.set()
        assert [answer.result()[1]["results"][0]["score"] for answer in answers] == list(range(9))
        assert sum(service.detector.batches) == 9
        assert max(service.detector.batches) >= 4
        assert max(service.detector.batches) <= 8


def test_slow_clients_are_dropped_and_do_not_hold_up_others() -> None:
    with running(body_seconds=1.0) as service:
        head = b"POST /v1/models/mean/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        slow = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(20)]
        for number, connection in enumerate(slow):
            connection.settimeout(10)
            # Half of them send a part of the body, the others not even all headers.
            connection.sendall(head + bytes(10) if number % 2 else head[:40])
        start = time.monotonic()
        assert service.predict(picture(9))[0] == 200
        assert time.monotonic() - start < 1
        for number, connection in enumerate(slow):
            answer = connection.recv(4096)
            assert (b" 408 " in answer) if number % 2 else answer == b""
            connection.close()
        assert time.monotonic() - start < 8


def test_a_second_request_on_a_connection_must_arrive_in_time_as_well() -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with (
        running(body_seconds=1.0) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection,
    ):
        for pause in (1.5, 0):  # waiting between two requests is allowed
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(4096)
            assert b" 200 " in answer
            time.sleep(pause)
        start = time.monotonic()
        connection.sendall(request[:20])
        assert connection.recv(4096) == b""
        assert 0.5 < time.monotonic() - start < 5


def malformed(number: int) -> bytes:
    """One of 200 requests that are wrong in different ways: random bytes, cut, or with changed bytes."""
    draws = np.random.default_rng(number)
    body, kind = multipart([("a.png", picture(40)), ("b.png", picture(60, size=(9, 9)))])
    head = (
        f"POST /v1/models/mean/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    whole = head.encode() + body
    match number % 5:
        case 0:
            return draws.bytes(int(draws.integers(1, 3000)))
        case 1:
            return whole[: int(draws.integers(1, len(whole)))]
        case 2:  # changed bytes of the pictures and the boundaries
            changed = bytearray(body)
            for place in draws.integers(0, len(body), 8):
                changed[place] = draws.integers(0, 256)
            return head.encode() + bytes(changed)
        case 3:  # changed bytes of the headers
            changed = bytearray(whole)
            for place in draws.integers(0, len(head), 3):
                changed[place] = draws.integers(0, 256)
            return bytes(changed)
        case _:  # a picture with changed bytes, as the body
            changed = bytearray(picture(90, size=(30, 30), kind=["PNG", "JPEG", "TIFF", "BMP"][number % 4]))
            for place in draws.integers(0, len(changed), 6):
                changed[place] = draws.integers(0, 256)
            start = "POST /v1/models/mean/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            return f"{start}Content-Length: {len(changed)}\r\n\r\n".encode() + bytes(changed)


@pytest.mark.slow
def test_the_service_survives_200_malformed_requests() -> None:
    with running(body_seconds=1.0) as service:
        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(lambda number: service.raw(malformed(number)), range(200)))
        statuses = {answer[9:12].decode() for answer in answers if answer.startswith(b"HTTP/1.1 ")}
        assert statuses <= {"200", "400", "404", "405", "408", "413", "415", "422", "503", "501"}, statuses
        assert len(statuses) >= 3
        assert [event for event in service.events() if event["event"] == "error"] == []
        for value in (3, 150):
            status, found = service.predict(picture(value))
            assert (status, found["results"][0]["score"]) == (200, value)
        assert service.ask("GET", "/readyz")[0] == 200


def test_the_log_and_drift_have_every_picture(tmp_path: Path) -> None:
    reference = DriftReference("mean", np.arange(50.0) % 20, "50 normal images", rate=0.02)
    state = DriftState(reference, DriftSettings(alpha=0.01))
    with running(log=tmp_path, drift=state) as service:
        for value in range(15):
            service.predict(picture(value))
        found = json.loads(service.ask("GET", "/v1/models/mean/drift")[2])
        assert (found["images"], found["drift"]) == (15, False)
        body, kind = multipart([(f"{k}.png", picture(200 + k)) for k in range(16)])
        service.predict(body, content_type=kind)
        found = json.loads(service.ask("GET", "/v1/models/mean/drift")[2])
        assert (found["images"], found["drift"], found["alarm_rate"]["alarms"]) == (31, True, 16)
        assert 15 < found["alarm_at"] < 31
        assert found["alarm_rate"]["exceeds"]
        assert 'adframe_drift_found{model="mean"} 1.0' in service.ask("GET", "/metrics")[2].decode()
    log = read_score_log([tmp_path])
    assert log.scores.tolist() == [*map(float, range(15)), *(200.0 + k for k in range(16))]
    assert log.alarms.tolist() == [False] * 15 + [True] * 16


def test_a_stop_lets_running_requests_end() -> None:
    answers: list[tuple[int, dict]] = []
    with running() as service:
        service.detector.may_work.clear()
        threads = [
            threading.Thread(target=lambda value=value: answers.append(service.predict(picture(value))))
            for value in (5, 6, 7)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        threading.Timer(0.5, service.detector.may_work.set).start()
        port = service.port
        service.detector.may_work.wait(10)
    for thread in threads:
        thread.join(10)
    assert sorted(found["results"][0]["score"] for _, found in answers) == [5, 6, 7]
    with pytest.raises(OSError):  # noqa: PT011  (refused)
        http.client.HTTPConnection("127.0.0.1", port, timeout=2).request("GET", "/healthz")
    assert service.events()[-1]["event"] == "stop"


def test_a_taken_port_is_reported() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(AdframeError, match=r"cannot listen on 127\.0\.0\.1"):
            open_socket(ServiceSettings(port=other.getsockname()[1]))
