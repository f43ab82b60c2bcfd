"""Triton kernels for what memory traffic bounds in the fused network on an NVIDIA GPU.

Pictures are (N, C, H, W) with channels innermost (`torch.channels_last`), float32, float16 or bfloat16; sums are
float32 inside. A slice of channels of such a picture will do as well and is not copied. Pointers are read 16 bytes
at a time where the channels from one pixel to the next, and the first channel of a slice, are multiples of 8; other
numbers are right, but slower. For inference alone: nothing here has a gradient.

Block sizes are fixed, for Hopper: nothing is measured at the first call, so that a CUDA graph can be captured after
one. Needs triton, which comes with torch for CUDA; import this module where its kernels are asked for, not before.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
import triton
from torch import Tensor

from streamderain.networks.drsformer.triton import programs

_EPSILON = 1e-5
_ROWS_PER_STRIP = 32
"""A strip reads up to four rows of its neighbours: an eighth of its own."""

_PIXELS_IN_A_ROW = 4
"""Neighbouring columns that one thread answers: eight reads do for what were four times five."""

_PROGRAMS = 512
"""About four for each multiprocessor, where a picture alone gives fewer."""

_OPTIONS: dict[str, Any] = {"enable_fp_fusion": True}
"""Without it each of the convolutions' products would be rounded before it is added, in twice the time."""


def tap_major(weight: Tensor) -> Tensor:
    """The same (C, 1, k, k) depthwise weights, laid out so that neighbouring channels are neighbours in memory.

    The depthwise kernels take any layout, but read this one in whole lines.
    """
    channels, _, height, width = weight.shape
    return weight.reshape(channels, height * width).t().contiguous().t().view(channels, 1, height, width)


def normed_pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """LayerNorm over the channels without weights (biased variance, epsilon 1e-5), then a 1x1 convolution.

    `x`: (N, C, H, W), channels innermost; `weight`: (O, C), contiguous; `bias`: (O,); all of one dtype. Returns
    (N, O, H, W), channels innermost, the same dtype. Raises ValueError for another layout, shape or dtype.

    Moves 2 (C + O) bytes per pixel in 16 bits. As two steps it is 2 (3C + O): the normalisation reads and writes C
    channels, and the convolution reads them again.
    """
    (count, channels, height, width), outputs = x.shape, weight.shape[0]
    if weight.shape != (outputs, channels) or bias.shape != (outputs,) or not weight.is_contiguous():
        raise ValueError(f"{weight.shape = }, {weight.stride() = }, {bias.shape = }; must be (O, {channels}) and (O,)")
    if not x.dtype == weight.dtype == bias.dtype:
        raise ValueError(f"{x.dtype = }, {weight.dtype = }, {bias.dtype = }; one dtype is allowed")
    out = _picture(x, outputs)
    block_m, block_n, block_c, warps, stages = _product_blocks(channels, x.dtype == torch.float32)
    pixels = count * height * width
    tiles, columns = triton.cdiv(pixels, block_m), triton.cdiv(outputs, block_n)
    columns_each = triton.cdiv(columns, min(columns, triton.cdiv(_PROGRAMS, tiles)))
    with _device_of(x):
        programs.normed_pointwise[(tiles, triton.cdiv(columns, columns_each))](
            x, weight, bias, out, pixels, columns_each, _EPSILON, channels, outputs, _pixel_stride(x),
            _pixel_stride(out), block_m, block_n, block_c, num_warps=warps, num_stages=stages, **_OPTIONS,
        )  # fmt: skip
    return out


def depthwise_pair(x: Tensor, small: Tensor, large: Tensor) -> tuple[Tensor, Tensor]:
    """ReLU behind a 3x3 and behind a 5x5 depthwise convolution of the same input, zero outside of it.

    `x`: (N, C, H, W), channels innermost; `small`: (C, 1, 3, 3); `large`: (C, 1, 5, 5). Returns two pictures like
    `x`, of their own memory. Raises ValueError for another layout.

    Moves 6 bytes per pixel and channel in 16 bits. As four steps it is 16: each convolution and each ReLU reads and
    writes.
    """
    _check_weight(x, small, 3)
    _check_weight(x, large, 5)
    outs = _picture(x, x.shape[1]), _picture(x, x.shape[1])
    grid, shape, blocks = _strips(x)
    with _device_of(x):
        programs.depthwise_pair[grid](
            x, small, large, *outs, *shape, x.shape[1], _pixel_stride(x), _pixel_stride(outs[0]),
            *_weight_strides(small), *_weight_strides(large), *blocks, num_warps=4, **_OPTIONS,
        )  # fmt: skip
    return outs


def depthwise_sum(
    even: Tensor, odd: Tensor, even_weight: Tensor, odd_weight: Tensor, out: Tensor | None = None
) -> Tensor:
    """ReLU of the sum of two depthwise convolutions, 3x3 or 5x5 both, of two inputs that are zero outside.

    `even`, `odd`: (N, C, H, W), channels innermost; weights: (C, 1, k, k), k being 3 or 5. The answer is like
    `even`, and written to `out` where that is given, which may be a slice of channels. Raises ValueError for another
    layout or shape.

    Moves 6 bytes per pixel and channel in 16 bits. As four steps it is 18: the convolutions and the ReLU read and
    write, and the sum reads twice and writes.
    """
    size = even_weight.shape[-1]
    if size not in (3, 5):
        raise ValueError(f"{even_weight.shape = }; kernels of 3x3 and 5x5 are allowed")
    if even.shape != odd.shape:
        raise ValueError(f"{even.shape = }, {odd.shape = }; they must be equal")
    _check_weight(even, even_weight, size)
    _check_weight(odd, odd_weight, size)
    out = _picture(even, even.shape[1]) if out is None else out
    if out.shape != even.shape or out.dtype != even.dtype:
        raise ValueError(f"{out.shape = }, {out.dtype = }; must be those of the input, {even.shape}, {even.dtype}")
    grid, shape, blocks = _strips(even)
    with _device_of(even):
        programs.depthwise_sum[grid](
            even, odd, even_weight, odd_weight, out, *shape, even.shape[1], _pixel_stride(even), _pixel_stride(odd),
            _pixel_stride(out), *_weight_strides(even_weight), *_weight_strides(odd_weight), size, *blocks,
            num_warps=4, **_OPTIONS,
        )  # fmt: skip
    return out


def attention_statistics(query: Tensor, key: Tensor, heads: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """What attention over channels needs to know of all pixels: products of queries with keys, and their lengths.

    `query`, `key`: (N, C, H, W), channels innermost, of one dtype; C a multiple of `heads`. Returns, in float32,
    products (N, heads, C / heads, C / heads), the sums over all pixels of query i times key j of the same head, and
    the squared lengths (N, C) of the queries and of the keys. The same input always gives the same bits: parts of
    the sum are kept apart and added at the end. Raises ValueError for another layout, shape or dtype.

    Moves 4C bytes per pixel in 16 bits where a head has up to 128 channels, and as much again for each further 128.
    As separate steps it is 16C: the product reads both, the squares read and write them, the sums read the squares.
    """
    count, channels, height, width = query.shape
    if query.shape != key.shape or query.dtype != key.dtype or channels % heads:
        raise ValueError(
            f"{query.shape = }, {query.dtype = }, {key.shape = }, {key.dtype = }, {heads = }; "
            "equal shapes, one dtype and whole heads are allowed"
        )
    head = channels // heads
    block = max(16, triton.next_power_of_2(head)) if head <= 64 else 128
    block_p = 32 if query.dtype == torch.float32 else 64
    tiles = triton.cdiv(head, block)
    places = count * heads * tiles * tiles
    # A part has eight blocks of pixels or more, so that its sums are few beside what it reads.
    parts = max(1, min(_PROGRAMS // places, (height * width) // (8 * block_p)))
    blocks_each = triton.cdiv(triton.cdiv(height * width, block_p), parts)
    partial = torch.empty((parts, count * heads, head * (head + 2)), dtype=torch.float32, device=query.device)
    with _device_of(query):
        programs.attention_statistics[(parts, count * heads, tiles * tiles)](
            query, key, partial, height * width, blocks_each, heads, head, _pixel_stride(query), _pixel_stride(key),
            block, block_p, num_warps=4 if block <= 64 else 8, num_stages=3, **_OPTIONS,
        )  # fmt: skip
    sums = partial.sum(dim=0)
    lengths = sums[:, head * head :].view(count, heads, 2, head)
    products = sums[:, : head * head].view(count, heads, head, head)
    return products, lengths[:, :, 0].reshape(count, channels), lengths[:, :, 1].reshape(count, channels)


def _device_of(x: Tensor) -> AbstractContextManager[None]:
    """The GPU of `x` as the current one, where Triton starts programs; nothing for Triton's interpreter."""
    device: AbstractContextManager[None] = torch.cuda.device_of(x)  # type: ignore[no-untyped-call]
    return device


def _pixel_stride(x: Tensor) -> int:
    """Elements from one pixel of `x` to the next; ValueError where that is not one number, or channels lie apart."""
    count, channels, height, width = x.shape
    between = ((width, x.stride(3)), (height, x.stride(2) // width), (count, x.stride(0) // (height * width)))
    # What torch says of a dimension of size one means nothing.
    stride = next((stride for size, stride in between if size > 1), channels)
    expected = (stride * height * width, 1, stride * width, stride)
    if any(size > 1 and own != wanted for size, own, wanted in zip(x.shape, x.stride(), expected, strict=True)):
        raise ValueError(
            f"{x.shape = }, {x.stride() = }; channels must be innermost and pixels evenly spaced: "
            "try x.contiguous(memory_format=torch.channels_last)"
        )
    return stride


def _product_blocks(channels: int, exact: bool) -> tuple[int, int, int, int, int]:
    """Pixels, outputs and channels of a block of the matrix product, its warps and its stages of loads under way.

    Up to 256 channels are one block, which stays near while the weights go by. `exact`: float32, which has no fast
    matrix product. Shared memory stays below the 99 KB of the smaller GPUs.
    """
    if channels > 256:
        return (64, 64, 32, 4, 3) if exact else (128, 128, 64, 8, 3)
    block_c = max(16, triton.next_power_of_2(channels))
    if exact:
        return 32, 32, block_c, 4, 2
    if block_c == 256:
        return 64, 64, block_c, 8, 1
    return 64, 64, block_c, 4, 3 if block_c < 128 else 2


def _picture(like: Tensor, channels: int) -> Tensor:
    """An empty picture of other channels."""
    shape = (like.shape[0], channels, *like.shape[2:])
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _check_weight(x: Tensor, weight: Tensor, size: int) -> None:
    if weight.shape != (x.shape[1], 1, size, size):
        raise ValueError(f"{weight.shape = }; must be {(x.shape[1], 1, size, size)} for {x.shape = }")


def _weight_strides(weight: Tensor) -> tuple[int, int]:
    """Elements from channel to channel, and from tap to tap, in (C, 1, k, k)."""
    if weight.stride(2) != weight.stride(3) * weight.shape[3]:
        raise ValueError(f"{weight.stride() = }; the taps must be evenly spaced, as tap_major lays them")
    return weight.stride(0), weight.stride(3)


def _strips(x: Tensor) -> tuple[tuple[int, int, int], tuple[int, int], tuple[int, int, int, int]]:
    """How the depthwise kernels share out `x`: the grid; height and width; rows, columns, channels of a block, and
    columns of a thread.

    Each of the 128 threads of a block has two channels, because the weights of more would not fit its registers.
    """
    count, channels, height, width = x.shape
    block_c = 64 if -channels % 64 < 32 else 32
    block_c = min(block_c, max(16, triton.next_power_of_2(channels)))
    block_w = 256 // block_c
    across = triton.cdiv(width, block_w * _PIXELS_IN_A_ROW)
    grid = triton.cdiv(channels, block_c), across, count * triton.cdiv(height, _ROWS_PER_STRIP)
    return grid, (height, width), (_ROWS_PER_STRIP, block_w, block_c, _PIXELS_IN_A_ROW)
