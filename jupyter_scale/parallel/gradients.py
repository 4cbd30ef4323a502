"""The average of gradients over all ranks, each weighted by its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter

__all__ = ["average"]

BUCKET = 25 * 2**20
"""Bytes that travel at once, as in torch's own DistributedDataParallel."""


def average(parameters: Sequence[Parameter], loss: float, rows: int, device: Any) -> float:
    """Set each parameter's gradient to that of the mean loss of all ranks' rows; return that loss.

    A rank without rows adds nothing, but takes part: all of them must. A parameter that has no
    gradient on any rank keeps none, so that an optimizer leaves it alone, as it would in one
    process.
    """
    import torch
    import torch.distributed as dist

    if dist.get_world_size() == 1:
        return loss
    has = [float(parameter.grad is not None) for parameter in parameters]
    head = torch.tensor([rows, rows * loss if rows else 0.0, *has], dtype=torch.float64)
    head = head.to(device)
    dist.all_reduce(head)
    total, summed, *had = head.tolist()
    if not total:
        raise ValueError("no rank has any rows in this batch")
    present = [parameter for parameter, n in zip(parameters, had, strict=True) if n]
    for bucket in _buckets(present):
        _reduce(bucket, rows / total)
    return float(summed / total)


def _reduce(parameters: Sequence[Parameter], weight: float) -> None:
    import torch
    import torch.distributed as dist

    flat = torch.cat([_gradient(parameter).reshape(-1) for parameter in parameters]).mul_(weight)
    dist.all_reduce(flat)
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.grad = flat[start:end].view_as(parameter).clone()
        start = end


def _gradient(parameter: Parameter) -> Tensor:
    import torch

    if parameter.grad is None:
        return torch.zeros_like(parameter)
    return parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad


def _buckets(parameters: Sequence[Parameter]) -> Iterator[list[Parameter]]:
    for _, alike in groupby(parameters, key=lambda one: (one.dtype, one.device)):
        bucket: list[Parameter] = []
        size = 0
        for parameter in alike:
            bucket.append(parameter)
            size += parameter.numel() * parameter.element_size()
            if size >= BUCKET:
                yield bucket
                bucket, size = [], 0
        if bucket:
            yield bucket
