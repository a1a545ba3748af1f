"""Layers that do what torch's own do, with less work on a CPU.

Each computes with torch's own layers where it cannot do better or would be in the way: see
`is_eager_on_cpu`. The gains are of whole training steps of LeNet-5 with one thread; see
bench/tried.md.

A convolution, tanh and 2x2 average pooling in one need the convolution at four places (a, b, c, d)
for each result. All four are inside one patch of 6x6 pixels:

    the kernel 5x5 at a, b, c, d         is the patch 6x6, times four shifted kernels
    +-----------+     +-----------+      +-------------+     a: k k k k k .    b: . k k k k k
    | a a a a a |.   .| b b b b b |      | p p p p p p |        k k k k k .       . k k k k k
    | a a a a a |.   .| b b b b b |      | p p p p p p |        k k k k k .       . k k k k k
    | a a a a a |. + .| b b b b b | ...  | p p p p p p |        k k k k k .       . k k k k k
    | a a a a a |.   .| b b b b b |      | p p p p p p |        k k k k k .       . k k k k k
    | a a a a a |.   .| b b b b b |      | p p p p p p |        . . . . . .       . . . . . .
    +-----------+     +-----------+      | p p p p p p |
     . . . . . .       . . . . . .       +-------------+     c, d: one row further down

Patches are in steps of 2, so a pixel is in 9 of them, where it is under 25 kernels. One product of
the matrix of kernels (4 O, 36 C + 1) and that of patches (36 C + 1, N H W / 4) gives all values
that are pooled; the last row of the patches is ones, for the bias.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def is_eager_on_cpu(images: Tensor) -> bool:
    """Return whether hand-written passes may compute: eagerly, on a CPU, for plain autograd.

    False under torch.export, torch.compile and fake tensors, in autocast, within the transforms of
    torch.func, on other devices, and for a single image (C, H, W) or none.
    """
    return (
        type(images) is Tensor
        and images.is_cpu
        and images.dim() == 4
        and len(images) > 0
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        # What torch.autograd.Function itself asks; torch.func has no public name for it.
        and not torch._C._are_functorch_transforms_active()
    )


class CoveringConv2d(nn.Module):
    """A convolution that becomes a matrix product where its kernel covers the whole input.

    That makes a step 1.1 times as fast, 1.2 times with 64 to 256 channels. Rows and weights are
    views of channels-last memory.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias, self.stride = conv.weight, conv.bias, conv.stride

    @staticmethod
    def can_replace(conv: nn.Conv2d) -> bool:
        """Return whether a kernel of more than one pixel may cover the input of `conv`."""
        plain = conv.padding == (0, 0) and conv.groups == 1 and conv.dilation == (1, 1)
        return plain and conv.kernel_size != (1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the convolution of `images` (N, C, H, W)."""
        if images.shape[2:] != self.weight.shape[2:]:
            return functional.conv2d(images, self.weight, self.bias, self.stride)
        rows, weights = (values.permute(0, 2, 3, 1).flatten(1) for values in (images, self.weight))
        return functional.linear(rows, weights, self.bias)[:, :, None, None]


class TanhAvgPool2d(nn.Module):
    """Tanh, then the mean of each 2x2 window; a step becomes 1.2 times as fast."""

    def forward(self, values: Tensor) -> Tensor:
        """Return `values` (N, C, H, W) at half their height and width."""
        if is_eager_on_cpu(values) and not any(side % 2 for side in values.shape[2:]):
            pooled: Tensor = _TanhAvgPool2d.apply(values)
            return pooled
        return tanh_avg_pool2d(values)


def tanh_avg_pool2d(values: Tensor) -> Tensor:
    """Return the mean of tanh over each 2x2 window of `values` (N, C, H, W), by torch alone."""
    return functional.avg_pool2d(values.tanh(), 2)


class ConvTanhAvgPool2d(nn.Module):
    """A convolution with stride 1, tanh, then the mean of each 2x2 window.

    With few input channels the three become one: a step is 1.4 times as fast.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias, self.edge = conv.weight, conv.bias, int(conv.padding[0])
        self.free: dict[Key, list[_Workspace]] = {}
        """Workspaces that no batch is in."""

    @staticmethod
    def can_replace(conv: nn.Conv2d) -> bool:
        """Return whether `conv` has stride 1, a square kernel and a bias."""
        plain = conv.stride == conv.dilation == (1, 1) and conv.groups == 1
        plain = plain and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)
        square = conv.kernel_size[0] == conv.kernel_size[1] and len({*conv.padding}) == 1
        return plain and square and conv.bias is not None

    def forward(self, images: Tensor) -> Tensor:
        """Return `images` (N, C, H, W) as (N, out_channels, height, width), both sides halved."""
        size = self.weight.shape[2]
        even = all((side + 2 * self.edge - size) % 2 for side in images.shape[-2:])
        if not (is_eager_on_cpu(images) and even and size % 2):
            return self.by_torch(images, self.weight, self.bias)
        pooled: Tensor
        if self.weight.shape[1] > FEW_CHANNELS or self.edge % 2:
            convolved = functional.conv2d(images, self.weight, self.bias, padding=self.edge)
            pooled = _TanhAvgPool2d.apply(convolved)
        elif torch.is_grad_enabled():
            pooled = _ConvTanhAvgPool2d.apply(images, self.weight, self.bias, self)
        else:
            workspace = self.take_workspace(images)
            pooled = workspace.forward(images, self.weight, self.bias)  # type: ignore[arg-type]
            self.give_back(workspace)
        return pooled

    def by_torch(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the same by torch alone."""
        return tanh_avg_pool2d(functional.conv2d(images, weight, bias, padding=self.edge))

    def take_workspace(self, images: Tensor) -> "_Workspace":
        """Return a workspace for images of this shape that no other batch is in."""
        free = self.free.get((images.shape, images.dtype))
        return free.pop() if free else _Workspace(images, self.weight, self.edge)

    def give_back(self, workspace: "_Workspace") -> None:
        """Let the next batch have it."""
        self.free.setdefault(workspace.key, []).append(workspace)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles, without workspaces."""
        return self.__dict__ | {"free": {}}


FEW_CHANNELS = 8
"""With more, torch's convolution has work for a processor's vectors of 8 or 16 numbers."""
Key = tuple[torch.Size, torch.dtype]
"""Shape and type of images."""


def differentiable_gradients(
    compute: Callable[..., Tensor], inputs: Sequence[Tensor], gradient: Tensor
) -> tuple[Tensor, ...]:
    """Return the gradient of each input of `compute`, from that of its result, by torch.

    Under `create_graph=True` it has derivatives of its own.
    """
    gradients: tuple[Tensor, ...] = torch.func.vjp(compute, *inputs)[1](gradient)
    return gradients


class _ConvTanhAvgPool2d(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, layer: ConvTanhAvgPool2d
    ) -> Tensor:
        ctx.layer, ctx.workspace = layer, layer.take_workspace(images)
        ctx.save_for_backward(images, weight, bias)
        pooled: Tensor = ctx.workspace.forward(images, weight, bias)
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        workspace, layer = ctx.workspace, ctx.layer
        if torch.is_grad_enabled() or not workspace:  # of a second derivative or backward pass
            return *differentiable_gradients(layer.by_torch, ctx.saved_tensors, gradient), None
        ctx.workspace = None
        gradients = workspace.backward(gradient)
        images = workspace.folding.images() if ctx.needs_input_grad[0] else None
        layer.give_back(workspace)
        return images, *gradients, None


class _Workspace:
    """The memory of a batch on its way through `ConvTanhAvgPool2d`, used again by the next.

    A matrix product of the patches under each 2x2 window of results and four shifted kernels: of a
    5x5 kernel the 6x6 patch that four of its places see, nine copies of each pixel in place of 25,
    and products for results that are pooled at once. What belongs to one channel and one of the
    four places is one long run of numbers.

    For images of one shape all views are made once: in a step with batch 10 they would take as
    long as the arithmetic.
    """

    @torch.inference_mode(mode=False)  # memory made in inference could not be used in training
    def __init__(self, images: Tensor, weight: Tensor, edge: int) -> None:
        self.key = images.shape, images.dtype
        outputs, _, size, _ = weight.shape
        self.patches = _Patches(images, size + 1, edge)
        self.kernels = _Kernels(weight)
        count = self.patches.matrix.shape[1]
        self.sigmoid = images.new_empty(4 * outputs, count)
        self.sigmoid_by_place = self.sigmoid.view(outputs, 4, count)
        pooled = images.new_ones(outputs + 1, count)  # and a one, from which the product takes one
        self.pooled, self.pooled_and_one = pooled[:-1], pooled.t()
        self.pooled_at_all_places = self.pooled[:, None].expand(-1, 4, -1)
        self.identity = torch.eye(outputs, dtype=images.dtype)
        self.identity_less_one = functional.pad(self.identity, (0, 0, 0, 1), value=-1)
        self.mean = self.identity.repeat_interleave(4, dim=1) / 2

    def forward(self, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        self.patches.fill(images)
        self.kernels.fill(weight, bias)
        # As tanh(x) = 2 sigmoid(2x) - 1, whose sigmoid takes a third of the time of torch.tanh.
        self.sigmoid.addmm_(self.kernels.matrix, self.patches.matrix, beta=0, alpha=2).sigmoid_()
        torch.mm(self.mean, self.sigmoid, out=self.pooled)
        # This product transposes, in a quarter of the time of a copy.
        pooled = torch.mm(self.pooled_and_one, self.identity_less_one)
        return pooled.view(*self.patches.counts, -1).permute(0, 3, 1, 2)

    def backward(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of weight and bias; `folding` then has that of the images."""
        pixels = gradient.permute(0, 2, 3, 1).reshape(-1, len(self.identity))
        torch.mm(self.identity, pixels.t(), out=self.pooled)
        # d tanh(x) / 4 = sigmoid'(2x), in place of the sigmoid.
        torch.ops.aten.sigmoid_backward.grad_input(
            self.pooled_at_all_places, self.sigmoid_by_place, grad_input=self.sigmoid_by_place
        )
        torch.mm(self.sigmoid, self.patches.transposed, out=self.kernels.gradient)
        return self.kernels.gradients()

    @functools.cached_property
    def folding(self) -> "_Folding":
        """What the first layer of a network never needs."""
        with torch.inference_mode(mode=False):
            return _Folding(self)


class _Kernels:
    """Kernels and biases at each of the four places of a patch: (4 O, C (size + 1)^2 + 1)."""

    def __init__(self, weight: Tensor) -> None:
        outputs, channels, size, _ = weight.shape
        row, length = (size + 1) * channels, (size + 1) ** 2 * channels + 1
        self.matrix = weight.new_zeros(4 * outputs, length)
        self.gradient = torch.empty_like(self.matrix)
        # Where the kernel begins differs from place to place by a row and by a pixel of the patch.
        shape = (outputs, 2, 2, size, size * channels)
        strides = (4 * length, 2 * length + row, length + channels, row, 1)
        self.weights = self.matrix.as_strided(shape, strides)
        self.biases = self.matrix.view(outputs, 4, length)[:, :, -1]
        self.top, self.bottom = self.gradient.as_strided(shape, strides).unbind(1)
        self.bias_gradients = self.gradient.view(outputs, 4, length)[:, :, -1]
        self.columns = weight.new_empty(outputs, 2, size, size * channels)
        self.left, self.right = self.columns.unbind(1)
        self.shape = outputs, size, size, channels

    def fill(self, weight: Tensor, bias: Tensor) -> None:
        self.weights.copy_(weight.permute(0, 2, 3, 1).flatten(2)[:, None, None])
        self.biases.copy_(bias[:, None])

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Return those of weight and bias, from the `gradient` of the matrix."""
        torch.add(self.top, self.bottom, out=self.columns)
        weight = (self.left + self.right).view(self.shape).permute(0, 3, 1, 2)
        return weight, self.bias_gradients.sum(dim=1)


class _Patches:
    """All patches of padded images in steps of 2, and ones: (C side^2 + 1, N down across).

    Memory is in the order that is copied in the longest runs. With one channel that is a pixel of
    all patches after the other, from images whose even and odd columns are apart, else patch after
    patch.
    """

    def __init__(self, images: Tensor, side: int, edge: int) -> None:
        n, channels, height, width = images.shape
        height, width = height + 2 * edge, width + 2 * edge
        down, across = (height - side) // 2 + 1, (width - side) // 2 + 1
        length, row = side**2 * channels, width * channels
        self.counts = n, down, across
        shape: tuple[int, ...]
        strides: tuple[int, ...]
        self.shape, self.side, self.edge = (n, height, width, channels), side, edge
        inside = slice(edge, height - edge)
        if channels == 1:
            padded = images.new_zeros(n, height, 2, width // 2)
            self.pixels = padded[:, inside, :, edge // 2 : (width - edge) // 2].unbind(2)
            shape = (side, side // 2, 2, n, down, across)
            strides = (row, 1, row // 2, height * row, 2 * row, 1)
            self.matrix = images.new_ones(length + 1, n * down * across)
            self.places = self.matrix[:-1].view(shape)
        else:
            padded = images.new_zeros(n, height, width, channels)
            self.pixels = (padded[:, inside, edge : width - edge],)
            shape = (n, down, across, side, side * channels)
            strides = (height * row, 2 * row, 2 * channels, row, 1)
            patches = images.new_ones(n * down * across, length + 1)
            self.places = patches[:, :-1].view(shape)
            self.matrix = patches.t()
        self.transposed = self.matrix.t()
        self.windows = padded.as_strided(shape, strides)
        self.as_they_are = not edge and channels > 1

    def fill(self, images: Tensor) -> None:
        pixels = images.permute(0, 2, 3, 1)
        if self.as_they_are:
            windows = pixels.contiguous().as_strided(self.windows.shape, self.windows.stride())
        else:
            windows = self.windows
            for number, columns in enumerate(self.pixels):
                columns.copy_(pixels[:, :, number :: len(self.pixels)].view(columns.shape))
        self.places.copy_(windows)


class _Folding:
    """The images' gradient, from those of the products that were made of the patches.

    Patches that are `steps` apart do not overlap. Two rows of all patches at a time are put where
    they belong, and then the columns.
    """

    def __init__(self, workspace: _Workspace) -> None:
        patches, gradient = workspace.patches, workspace.sigmoid
        n, down, across = patches.counts
        _, height, _, channels = self.shape = patches.shape
        self.edge = patches.edge
        steps, length = patches.side // 2, 2 * patches.side * channels
        self.gradient = gradient.t()
        self.kernels = workspace.kernels.matrix[:, :-1].split(length, dim=1)
        by_patch = gradient.new_empty(steps, n * down * across, length)
        self.by_patch = by_patch.unbind()
        self.parts = by_patch.view(steps, n, down, across * length).unbind()
        rows = gradient.new_empty(n, height // 2, across * length)
        self.below = rows[:, down:]
        self.places = [rows[:, step : step + down] for step in range(steps)]
        columns = rows.view(n, height // 2, across, 2, steps, 2 * channels)
        self.columns = columns.transpose(2, 3).unbind(4)

    def images(self) -> Tensor:
        """Return the gradient (N, C, H, W)."""
        self.below.zero_()
        steps = zip(self.kernels, self.by_patch, self.parts, self.places, strict=True)
        for step, (kernels, by_patch, part, place) in enumerate(steps):
            torch.mm(self.gradient, kernels, out=by_patch)
            (place.add_ if step else place.copy_)(part)
        n, height, width, channels = self.shape
        images = self.below.new_zeros(n, height // 2, 2, width // 2, 2 * channels)
        across = self.columns[0].shape[3]
        for step, columns in enumerate(self.columns):
            place = images.narrow(3, step, across)
            (place.add_ if step else place.copy_)(columns)
        images = images.view(self.shape).permute(0, 3, 1, 2)
        edge = self.edge
        return images[:, :, edge : height - edge, edge : width - edge] if edge else images


class _TanhAvgPool2d(torch.autograd.Function):
    """As tanh(x) = 2 sigmoid(2x) - 1, whose sigmoid takes a third of the time of torch.tanh.

    In channels-last memory, two rows of pixels add up as long runs of numbers, in the backward
    pass as well, where torch's pooling goes through one pixel's channels at a time.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        n, channels, height, width = values.shape
        sigmoid = values.permute(0, 2, 3, 1).mul(2).sigmoid_()
        pairs_of_rows = sigmoid.reshape(n, height // 2, 2, width * channels)
        ctx.save_for_backward(values, pairs_of_rows)
        rows = pairs_of_rows[:, :, 0] + pairs_of_rows[:, :, 1]
        pairs = rows.view(n, height // 2, width // 2, 2, channels)
        return (pairs[..., 0, :] + pairs[..., 1, :]).div_(2).sub_(1).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        values, pairs_of_rows = ctx.saved_tensors
        if torch.is_grad_enabled():  # of a second derivative
            return differentiable_gradients(tanh_avg_pool2d, [values], gradient)[0]
        n, channels, height, width = gradient.shape
        pixels = gradient.permute(0, 2, 3, 1)
        rows = pixels.unsqueeze(3).expand(-1, -1, -1, 2, -1).reshape(n, height, 1, -1)
        # d tanh(x) / 4 = sigmoid'(2x), here in one pass that reads each pair's gradient twice.
        back: Tensor = torch.ops.aten.sigmoid_backward(rows.expand_as(pairs_of_rows), pairs_of_rows)
        back = back.view(n, 2 * height, 2 * width, channels)
        return back.permute(0, 3, 1, 2)
