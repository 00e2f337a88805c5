"""StableAdamW: AdamW whose learning rate falls where the second moment of a tensor is out of date."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

from adframe.errors import AdframeError, above, at_least


class StableAdamW(Optimizer):
    """AdamW with update clipping (Wortsman et al., NeurIPS 2023, arXiv 2304.13013, algorithm 2).

    Of each tensor with gradient g and first and second moments v and u, without their bias, a step is

        lr_t = lr / max(1, RMS_t),  RMS_t = sqrt(mean(g^2 / max(u, eps^2)))
        p <- p - lr_t * weight_decay * p - lr_t * v / (sqrt(u) + eps)

    After a sudden rise of the gradient, u is too small for some steps, and AdamW would move too far.

    Args:
        params: tensors or parameter groups.
        lr: learning rate, 0 or more.
        betas: decay of the first and the second moment, each in [0, 1).
        eps: added to the root of the second moment, above 0.
        weight_decay: decoupled weight decay, 0 or more.
        amsgrad: whether each element is divided by the largest second moment so far (Reddi et al., ICLR
            2018). RMS_t is then computed from it as well, because it measures the size of the update.

    Raises:
        AdframeError: if a value is out of range.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> optimizer = StableAdamW([weight], lr=0.1)
        >>> weight.square().sum().backward()
        >>> _ = optimizer.step()
        >>> [round(value, 3) for value in weight.tolist()]
        [0.9, 0.9]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        wrong = [
            text
            for text, bad in (
                ("lr must be 0 or more", not at_least(lr, 0)),
                (
                    "betas must be two numbers in [0, 1)",
                    len(betas) != 2 or not all(0 <= b < 1 for b in betas),
                ),
                ("eps must be above 0", not above(eps, 0)),
                ("weight_decay must be 0 or more", not at_least(weight_decay, 0)),
            )
            if bad
        ]
        if wrong:
            raise AdframeError("; ".join(f"learning.optimizer.{text}" for text in wrong))
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, settings)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Makes one step.

        Args:
            closure: computes the loss and its gradients again, or None.

        Returns:
            The loss of the closure, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            for name in ("first", "second", *(("largest",) if group["amsgrad"] else ())):
                state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        state["step"] += 1
        step, (one, two) = state["step"], group["betas"]
        first, second = state["first"].lerp_(gradient, 1 - one), state["second"]
        second.lerp_(gradient.square(), 1 - two)
        if group["amsgrad"]:
            # The largest moment before its bias is removed, as in torch: without its bias the first one would
            # be the square of the first gradient, which would slow down the whole training.
            second = torch.maximum(state["largest"], second, out=state["largest"])
        second = second / (1 - two**step)
        # The rate stays a tensor, so that a GPU is not waited for once per tensor.
        size = (gradient.square() / second.clamp(min=group["eps"] ** 2)).mean().sqrt()
        rate = group["lr"] / size.clamp(min=1.0)
        parameter.mul_(1 - rate * group["weight_decay"])
        parameter.sub_(rate / (1 - one**step) * first / second.sqrt().add_(group["eps"]))
