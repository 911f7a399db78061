"""Host tensors without a copy: NumPy arrays and torch CPU tensors as the library's sa_tensor.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ._enums import Dtype
from ._errors import refuse
from ._native import ffi, lib

# A NumPy array or a torch CPU tensor. torch is no dependency of this package, so its type cannot stand here.
Tensor: TypeAlias = Any

# By name, since NumPy's own bfloat16 comes from the package ml_dtypes.
DTYPES = {
    "float32": Dtype.F32,
    "float16": Dtype.F16,
    "bfloat16": Dtype.BF16,
    "torch.float32": Dtype.F32,
    "torch.float16": Dtype.F16,
    "torch.bfloat16": Dtype.BF16,
}


class View:
    """Where a tensor lies: address, shape, strides in bytes, dtype."""

    __slots__ = ("address", "dtype", "item_size", "shape", "strides", "tensor")

    def __init__(self, tensor: Tensor, name: str, writable: bool = False) -> None:
        self.tensor = tensor
        if is_torch(tensor):
            self._of_torch(tensor, name)
        elif isinstance(tensor, np.ndarray):
            self._of_numpy(tensor, name, writable)
        else:
            raise refuse(f"{name} must be a NumPy array or a torch CPU tensor, not {type(tensor).__name__}")

    def _of_numpy(self, array: npt.NDArray[Any], name: str, writable: bool) -> None:
        if not array.dtype.isnative or array.dtype.name not in DTYPES:
            raise refuse(f"{name} must be float32, float16 or bfloat16, not {array.dtype}")
        self.address, read_only = array.__array_interface__["data"]
        if writable and read_only:
            raise refuse(f"{name} is written, but is read-only")
        self.shape, self.strides = array.shape, array.strides
        self.dtype, self.item_size = DTYPES[array.dtype.name], array.itemsize

    def _of_torch(self, tensor: Any, name: str) -> None:
        if not tensor.is_cpu or tensor.layout is not sys.modules["torch"].strided:
            raise refuse(f"{name} must be a dense tensor of the CPU, not of {tensor.device} and {tensor.layout}")
        dtype = DTYPES.get(str(tensor.dtype))
        if dtype is None:
            raise refuse(f"{name} must be float32, float16 or bfloat16, not {tensor.dtype}")
        self.dtype, self.item_size = dtype, tensor.element_size()
        self.address, self.shape = tensor.data_ptr(), tuple(tensor.shape)
        self.strides = tuple(s * self.item_size for s in tensor.stride())

    def into(self, native: Any, name: str, shape: tuple[int, int, int]) -> None:
        """Fills an sa_tensor, once the shape is what the layer needs: (tokens, heads, dim)."""
        if self.shape != shape:
            raise refuse(f"{name} must have shape (tokens, heads, dim) = {shape}, not {self.shape}")
        if shape[2] > 1 and self.strides[2] != self.item_size:
            raise refuse(f"{name}: the dims of a head must be adjacent, but lie {self.strides[2]} bytes apart")
        native.data = ffi.cast("void *", self.address)
        native.token_stride, native.head_stride = self.strides[0], self.strides[1]
        native.dtype, native.flags = self.dtype, lib.SA_TENSOR_STRIDES_GIVEN


def is_torch(tensor: Tensor) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(tensor, torch.Tensor)


def tokens_of(tensor: Tensor) -> int:
    """The first dimension, or 0 of what has none (which is refused when it is looked at)."""
    shape = tuple(getattr(tensor, "shape", ()))
    return int(shape[0]) if shape else 0


def empty_like(tensor: Tensor, shape: tuple[int, ...], float32: bool = False) -> Tensor:
    """A new tensor of the same library, and of the same dtype or float32."""
    if is_torch(tensor):
        torch = sys.modules["torch"]
        return torch.empty(shape, dtype=torch.float32 if float32 else tensor.dtype)
    return np.empty(shape, np.float32 if float32 else tensor.dtype)


def zeros_like(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same in float32, filled with zeros."""
    zeros = empty_like(tensor, shape, float32=True)
    zeros[...] = 0
    return zeros


def float_pointer(tensor: Tensor) -> Any:
    """A `float *` to a contiguous float32 tensor of ours."""
    return ffi.cast("float *", tensor.data_ptr() if is_torch(tensor) else tensor.ctypes.data)


def contiguous(tensor: Tensor, name: str, shape: tuple[int, ...], dtype: Dtype, writable: bool = False) -> Any:
    """A `void *` to a tensor that must be contiguous, of this shape and dtype."""
    view = View(tensor, name, writable)
    if view.shape != shape or view.dtype != dtype:
        raise refuse(f"{name} must be {dtype.name} of shape {shape}, not {view.dtype.name} of {view.shape}")
    expected = view.item_size
    for size, stride in zip(reversed(shape), reversed(view.strides), strict=True):
        if size > 1 and stride != expected:
            raise refuse(f"{name} must be contiguous")
        expected *= size
    return ffi.cast("void *", view.address)
