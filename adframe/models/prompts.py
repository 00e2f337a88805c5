"""Texts that describe normal and anomalous images of a category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adframe.errors import AdframeError

_PLACE = "{}"


class PromptEnsemble:
    """Composes every state of an object with every template of a caption (WinCLIP, section 4.1).

    Args:
        normal: states of a normal object, each with `{}` for its name: `flawless {}`.
        anomalous: states of an anomalous object: `{} with a defect`.
        templates: captions, each with `{}` for the state: `a photo of a {}.`.
        objects: name of the object by category, where it is not the category's own name with spaces for
            underscores.
        general: name of the object where a model has several categories or none.

    Raises:
        AdframeError: a list is empty, or an entry does not have `{}` exactly once.

    Example:
        >>> ensemble = PromptEnsemble(normal=["flawless {}"], anomalous=["broken {}"], templates=["a {}."])
        >>> ensemble.texts(["metal_nut"])
        (['a flawless metal nut.'], ['a broken metal nut.'])
    """

    def __init__(
        self,
        *,
        normal: Sequence[str],
        anomalous: Sequence[str],
        templates: Sequence[str],
        objects: Mapping[str, str] | None = None,
        general: str = "object",
    ) -> None:
        for key, entries in (("normal", normal), ("anomalous", anomalous), ("templates", templates)):
            if not entries:
                raise AdframeError(f"model.prompts.{key}=[] must have an entry, such as '{_PLACE}'")
            if wrong := next((entry for entry in entries if entry.count(_PLACE) != 1), None):
                raise AdframeError(
                    f"model.prompts.{key}: '{wrong}' must have {_PLACE} once, where the "
                    f"{'state' if key == 'templates' else 'object'} is inserted"
                )
        self.normal, self.anomalous, self.templates = list(normal), list(anomalous), list(templates)
        self.objects, self.general = dict(objects or {}), general

    def __len__(self) -> int:
        return (len(self.normal) + len(self.anomalous)) * len(self.templates)

    def object_of(self, categories: Sequence[str]) -> str:
        """Returns the name of the object that a model inspects.

        Args:
            categories: the categories of the model.

        Returns:
            The name of the only category's object; the general name for several categories or none.
        """
        if len(categories) != 1:
            return self.general
        return self.objects.get(categories[0], categories[0].replace("_", " "))

    def texts(self, categories: Sequence[str]) -> tuple[list[str], list[str]]:
        """Composes all texts.

        Args:
            categories: the categories of the model.

        Returns:
            Texts about normal and about anomalous objects; each state with all templates in turn.
        """
        name = self.object_of(categories)
        return self._composed(self.normal, name), self._composed(self.anomalous, name)

    def _composed(self, states: Sequence[str], name: str) -> list[str]:
        named = [state.replace(_PLACE, name) for state in states]
        return [template.replace(_PLACE, state) for state in named for template in self.templates]
