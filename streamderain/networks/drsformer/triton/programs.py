"""What the functions of `kernels` run on the GPU, one program for each block of the answer, in Triton's Python.

Of a picture they see the address of its first number and the numbers from one pixel to the next, `stride`; channels
lie side by side. Whatever a block has beyond the edges is masked. Counts and places that a program is compiled for
are `tl.constexpr`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import triton
import triton.language as tl

MARGIN = tl.constexpr(2)
"""Pixels that a 5x5 kernel reaches beyond its middle."""


def program(function: Callable[..., Any]) -> Any:
    """`triton.jit`, which has no types of its own."""
    return triton.jit(function)


@program
def _moments(
    rows: tl.tensor, exists: tl.tensor, epsilon: tl.tensor, channels: tl.constexpr, block: tl.constexpr
) -> tl.tuple:
    """Of each pixel, the mean of its channels and one over their deviation, as columns."""
    channel = tl.arange(0, block)[None, :]
    total = tl.zeros((rows.shape[0], block), tl.float32)
    for first in range(0, channels, block):
        inside = exists & (first + channel < channels)
        total += tl.load(rows + first + channel, mask=inside, other=0.0).to(tl.float32)
    mean = (tl.sum(total, axis=1) / channels)[:, None]
    total = tl.zeros((rows.shape[0], block), tl.float32)
    for first in range(0, channels, block):
        inside = exists & (first + channel < channels)
        values = tl.load(rows + first + channel, mask=inside, other=0.0).to(tl.float32)
        centred = tl.where(first + channel < channels, values - mean, 0.0)
        total += centred * centred
    return mean, tl.rsqrt(tl.sum(total, axis=1) / channels + epsilon)[:, None]


@program
def normed_pointwise(
    x: tl.tensor, weight: tl.tensor, bias: tl.tensor, out: tl.tensor, pixels: tl.tensor, columns_each: tl.tensor,
    epsilon: tl.tensor, channels: tl.constexpr, outputs: tl.constexpr, stride: tl.constexpr, out_stride: tl.constexpr,
    block_m: tl.constexpr, block_n: tl.constexpr, block_c: tl.constexpr,
) -> None:  # fmt: skip
    """`block_m` pixels by `columns_each` blocks of outputs."""
    whole: tl.constexpr = channels <= block_c
    pixel = tl.program_id(0) * block_m + tl.arange(0, block_m)
    exists = (pixel < pixels)[:, None]
    rows = x + pixel.to(tl.int64)[:, None] * stride
    channel = tl.arange(0, block_c)
    mean, scale = _moments(rows, exists, epsilon, channels, block_c)
    if whole:
        values = tl.load(rows + channel[None, :], mask=exists & (channel < channels)[None, :], other=0.0)
        normed = ((values.to(tl.float32) - mean) * scale).to(x.dtype.element_ty)
    begin = tl.program_id(1) * columns_each * block_n
    for column in range(begin, tl.minimum(begin + columns_each * block_n, outputs), block_n):
        output = column + tl.arange(0, block_n)
        answer = tl.zeros((block_m, block_n), tl.float32)
        for first in range(0, channels, block_c):
            here = first + channel
            if not whole:
                values = tl.load(rows + here[None, :], mask=exists & (here < channels)[None, :], other=0.0)
                normed = ((values.to(tl.float32) - mean) * scale).to(x.dtype.element_ty)
            # Zero behind the last channel, whatever stands there in `normed`.
            inside = (here < channels)[:, None] & (output < outputs)[None, :]
            matrix = tl.load(weight + output[None, :] * channels + here[:, None], mask=inside, other=0.0)
            answer = tl.dot(normed, matrix, answer, input_precision="ieee")
        answer += tl.load(bias + output, mask=output < outputs, other=0.0).to(tl.float32)[None, :]
        place = out + pixel.to(tl.int64)[:, None] * out_stride + output[None, :]
        tl.store(place, answer.to(out.dtype.element_ty), mask=exists & (output < outputs)[None, :])


@program
def _weights(
    weight: tl.tensor, channel: tl.tensor, exists: tl.tensor, channel_stride: tl.constexpr, tap_stride: tl.constexpr,
    taps: tl.constexpr,
) -> tl.tuple:  # fmt: skip
    """A row of channels of weights for each tap."""
    weights: tl.tuple = ()
    for tap in tl.static_range(taps):
        values = tl.load(weight + channel * channel_stride + tap * tap_stride, mask=exists, other=0.0)
        weights += (values.to(tl.float32)[None, :],)
    return weights


@program
def _zeros(number: tl.constexpr, block_w: tl.constexpr, block_c: tl.constexpr) -> tl.tuple:
    """So many sums that are still empty."""
    sums: tl.tuple = ()
    for _ in tl.static_range(number):
        sums += (tl.zeros((block_w, block_c), tl.float32),)
    return sums


@program
def _row(
    picture: tl.tensor, y: tl.tensor, column: tl.tensor, exists: tl.tensor, height: tl.tensor, width: tl.tensor,
    stride: tl.constexpr, reach: tl.constexpr, count: tl.constexpr,
) -> tl.tuple:  # fmt: skip
    """What stands in row `y` of `picture` at the `count` columns from `column` on, and `reach` more on either side;
    zero outside.
    """
    tiles: tl.tuple = ()
    row = picture + tl.cast(y, tl.int64) * width * stride
    end = tl.where((y >= 0) & (y < height), width, 0)
    for number in tl.static_range(count + 2 * reach):
        x = column + number - reach
        inside = ((x >= 0) & (x < end))[:, None] & exists
        tiles += (tl.load(row + x[:, None] * stride, mask=inside, other=0.0),)
    return tiles


@program
def _added(
    sums: tl.tuple, tiles: tl.tuple, weights: tl.tuple, size: tl.constexpr, reach: tl.constexpr, count: tl.constexpr
) -> tl.tuple:  # fmt: skip
    """`sums` of the `size` rows of answers around a row of the picture, from above, with what that row, `tiles`,
    gives to each.
    """
    added: tl.tuple = ()
    for row in tl.static_range(size):
        for number in tl.static_range(count):
            total = sums[row * count + number]
            for tap in tl.static_range(size):
                values = tiles[number + tap + reach - size // 2].to(tl.float32)
                total += values * weights[(size - 1 - row) * size + tap]
            added += (total,)
    return added


@program
def _store(
    picture: tl.tensor, sums: tl.tuple, y: tl.tensor, column: tl.tensor, exists: tl.tensor, first: tl.tensor,
    last: tl.tensor, width: tl.tensor, stride: tl.constexpr, count: tl.constexpr,
) -> None:  # fmt: skip
    """Write ReLU of the first `count` of `sums` to row `y`, if it is one from `first` to before `last`."""
    row = picture + tl.cast(y, tl.int64) * width * stride
    end = tl.where((y >= first) & (y < last), width, 0)
    for number in tl.static_range(count):
        x = column + number
        inside = (x < end)[:, None] & exists
        # As torch's ReLU: what is not a number stays so.
        answer = tl.maximum(sums[number], 0.0, propagate_nan=tl.PropagateNan.ALL)
        tl.store(row + x[:, None] * stride, answer.to(picture.dtype.element_ty), mask=inside)


@program
def _place(
    height: tl.tensor, channels: tl.constexpr, rows: tl.constexpr, block_w: tl.constexpr, block_c: tl.constexpr,
    count: tl.constexpr,
) -> tl.tuple:  # fmt: skip
    """Of this program: the image, its first row and the one behind its last, each thread's first column, and the
    channels with whether they exist.
    """
    channel = tl.program_id(0) * block_c + tl.arange(0, block_c)
    column = (tl.program_id(1) * block_w + tl.arange(0, block_w)) * count
    strips = tl.cdiv(height, rows)
    image = (tl.program_id(2) // strips).to(tl.int64)
    first = tl.program_id(2) % strips * rows
    return image, first, tl.minimum(first + rows, height), column, channel, channel < channels


@program
def depthwise_pair(
    x: tl.tensor, small: tl.tensor, large: tl.tensor, small_out: tl.tensor, large_out: tl.tensor, height: tl.tensor,
    width: tl.tensor, channels: tl.constexpr, stride: tl.constexpr, out_stride: tl.constexpr,
    small_stride: tl.constexpr, small_tap: tl.constexpr, large_stride: tl.constexpr, large_tap: tl.constexpr,
    rows: tl.constexpr, block_w: tl.constexpr, block_c: tl.constexpr, count: tl.constexpr,
) -> None:  # fmt: skip
    """A strip of `rows` rows, read from above: each row is added to the answers that it reaches, in registers."""
    image, first, last, column, channel, exists = _place(height, channels, rows, block_w, block_c, count)
    near = _weights(small, channel, exists, small_stride, small_tap, 9)
    far = _weights(large, channel, exists, large_stride, large_tap, 25)
    exists = exists[None, :]
    x += image * height * width * stride + channel[None, :]
    small_out += image * height * width * out_stride + channel[None, :]
    large_out += image * height * width * out_stride + channel[None, :]
    narrow, broad = _zeros(3 * count, block_w, block_c), _zeros(5 * count, block_w, block_c)
    ahead = _row(x, first - MARGIN, column, exists, height, width, stride, MARGIN, count)
    for y in range(first - MARGIN, last + MARGIN):
        tiles = ahead
        # Under way while this row is worked on.
        ahead = _row(x, y + 1, column, exists, height, width, stride, MARGIN, count)
        narrow = _added(narrow, tiles, near, 3, MARGIN, count)
        broad = _added(broad, tiles, far, 5, MARGIN, count)
        _store(small_out, narrow, y - 1, column, exists, first, last, width, out_stride, count)
        _store(large_out, broad, y - 2, column, exists, first, last, width, out_stride, count)
        narrow = narrow[count:] + _zeros(count, block_w, block_c)
        broad = broad[count:] + _zeros(count, block_w, block_c)


@program
def depthwise_sum(
    even: tl.tensor, odd: tl.tensor, even_weight: tl.tensor, odd_weight: tl.tensor, out: tl.tensor, height: tl.tensor,
    width: tl.tensor, channels: tl.constexpr, even_stride: tl.constexpr, odd_stride: tl.constexpr,
    out_stride: tl.constexpr, even_weight_stride: tl.constexpr, even_tap: tl.constexpr,
    odd_weight_stride: tl.constexpr, odd_tap: tl.constexpr, size: tl.constexpr, rows: tl.constexpr,
    block_w: tl.constexpr, block_c: tl.constexpr, count: tl.constexpr,
) -> None:  # fmt: skip
    """As `depthwise_pair`, with two inputs and one answer."""
    reach: tl.constexpr = size // 2
    image, first, last, column, channel, exists = _place(height, channels, rows, block_w, block_c, count)
    even_weights = _weights(even_weight, channel, exists, even_weight_stride, even_tap, size * size)
    odd_weights = _weights(odd_weight, channel, exists, odd_weight_stride, odd_tap, size * size)
    exists = exists[None, :]
    even += image * height * width * even_stride + channel[None, :]
    odd += image * height * width * odd_stride + channel[None, :]
    out += image * height * width * out_stride + channel[None, :]
    sums = _zeros(size * count, block_w, block_c)
    even_ahead = _row(even, first - reach, column, exists, height, width, even_stride, reach, count)
    odd_ahead = _row(odd, first - reach, column, exists, height, width, odd_stride, reach, count)
    for y in range(first - reach, last + reach):
        even_tiles, odd_tiles = even_ahead, odd_ahead
        even_ahead = _row(even, y + 1, column, exists, height, width, even_stride, reach, count)
        odd_ahead = _row(odd, y + 1, column, exists, height, width, odd_stride, reach, count)
        sums = _added(sums, even_tiles, even_weights, size, reach, count)
        sums = _added(sums, odd_tiles, odd_weights, size, reach, count)
        _store(out, sums, y - reach, column, exists, first, last, width, out_stride, count)
        sums = sums[count:] + _zeros(count, block_w, block_c)


@program
def attention_statistics(
    query: tl.tensor, key: tl.tensor, partial: tl.tensor, pixels: tl.tensor, blocks_each: tl.tensor,
    heads: tl.constexpr, head: tl.constexpr, query_stride: tl.constexpr, key_stride: tl.constexpr,
    block: tl.constexpr, block_p: tl.constexpr,
) -> None:  # fmt: skip
    """One tile of one head's products over one part of the pixels, and the lengths along its edges."""
    tiles: tl.constexpr = (head + block - 1) // block
    part, place, tile = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row = tile // tiles * block + tl.arange(0, block)
    column = tile % tiles * block + tl.arange(0, block)
    start = (place // heads).to(tl.int64) * pixels
    query += start * query_stride + place % heads * head + row[None, :]
    key += start * key_stride + place % heads * head + column[None, :]
    products = tl.zeros((block, block), tl.float32)
    query_squares, key_squares = tl.zeros((block_p, block), tl.float32), tl.zeros((block_p, block), tl.float32)
    begin = part * blocks_each * block_p
    for first in range(begin, tl.minimum(begin + blocks_each * block_p, pixels), block_p):
        pixel = first + tl.arange(0, block_p)
        there = (pixel < pixels)[:, None]
        pixel = pixel.to(tl.int64)[:, None]
        queries = tl.load(query + pixel * query_stride, mask=there & (row < head)[None, :], other=0.0)
        keys = tl.load(key + pixel * key_stride, mask=there & (column < head)[None, :], other=0.0)
        products = tl.dot(tl.trans(queries), keys, products, input_precision="ieee")
        query_squares += queries.to(tl.float32) * queries.to(tl.float32)
        key_squares += keys.to(tl.float32) * keys.to(tl.float32)
    partial += (part * tl.num_programs(1) + place) * (head * (head + 2))
    inside = (row < head)[:, None] & (column < head)[None, :]
    tl.store(partial + row[:, None] * head + column[None, :], products, mask=inside)
    # Tiles of one row, and of one column, have the same lengths: the first one of each tells them.
    query_end = tl.where(tile % tiles == 0, head, 0)
    key_end = tl.where(tile // tiles == 0, head, 0)
    lengths = partial + head * head
    tl.store(lengths + row, tl.sum(query_squares, axis=0), mask=row < query_end)
    tl.store(lengths + head + column, tl.sum(key_squares, axis=0), mask=column < key_end)
