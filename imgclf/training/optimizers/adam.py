"""Adam, with its fused kernel at less cost a step."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from imgclf.settings.model_settings import TrainingSettings


class FusedAdam(torch.optim.Adam):
    """torch's Adam and its state, with the lists for its fused kernel made once, not every step.

    Weights must always have a gradient, or never, so that one counter of steps does for all.

    Private parts of torch bring 12 % of a whole training run of LeNet-5 (ten epochs, batch 100):
    the lists and the kernel 6 % of a step with batch 10 or 100, and `__wrapped__` 2.6 s of each
    start, because torch's methods import the compiler to exclude themselves from it.
    """

    _lists: tuple[list[Tensor], ...] = ()

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do one step."""
        if closure or hasattr(self, "found_inf"):  # set by a scaler of float16 gradients
            super().step(closure)
            return
        (group,) = self.param_groups
        if not self._lists:
            self._lists = tuple([] for _ in range(6))
            self._init_group(group, *self._lists)  # type: ignore[no-untyped-call]
            *_, steps = self._lists
            for state in self.state.values():
                state["step"] = steps[0]
            steps[:] = [steps[0]] * len(steps)
        weights, _, means, squares, _, steps = self._lists
        steps[0] += 1
        torch._fused_adam_(
            weights,
            [tensor.grad for tensor in weights],  # type: ignore[misc]
            means,
            squares,
            [],
            steps,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    step.hooked = True  # type: ignore[attr-defined] # no profiler's wrapper around it

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add weights."""
        Optimizer.add_param_group.__wrapped__(self, param_group)  # type: ignore[attr-defined]

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs."""
        state: dict[str, Any] = Optimizer.state_dict.__wrapped__(self)  # type: ignore[attr-defined]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of another optimiser."""
        Optimizer.load_state_dict.__wrapped__(self, state_dict)  # type: ignore[attr-defined]
        self._lists = ()


def adam(weights: Iterable[nn.Parameter], settings: TrainingSettings) -> Optimizer:
    """Adam with torch's betas; one fused kernel for all weights."""
    return FusedAdam(weights, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
