"""Dense layers, attention, products of two answers."""

import numpy as np

from foodscene.models.graph.graph import Array, Layer, Shape
from foodscene.models.graph.layers.products import dot_axes, einsum_equation
from foodscene.models.graph.lowering.activations import activated
from foodscene.models.graph.lowering.normalization import unit
from foodscene.models.graph.lowering.tensors import Emitter, Lowering, Order, Tensor, static


def _dense(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    tensor, kernel = inputs[0], layer.weight("kernel")
    bias = layer.weight("bias") if "bias" in layer.weights else None
    order: Order = "keras"
    if tensor.rank == 2:
        names = [emitter.get(tensor, "keras"), emitter.constant(kernel)]
        made = emitter.node("Gemm", [*names, emitter.constant(bias)] if bias is not None else names)
    elif tensor.rank == 4 and "keras" not in tensor.names:  # a convolution of one pixel, without a turn
        order = "first"
        names = [emitter.get(tensor, "first"), emitter.constant(kernel.T.reshape(*kernel.T.shape, 1, 1))]
        made = emitter.node("Conv", [*names, emitter.constant(bias)] if bias is not None else names)
    else:
        made = emitter.node("MatMul", [emitter.get(tensor, "keras"), emitter.constant(kernel)])
        if bias is not None:
            made = emitter.node("Add", [made, emitter.constant(bias)])
    return activated(emitter, layer.options["activation"], Tensor(shape, {order: made}))


def _einsum_dense(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    given, kernel, output = einsum_equation(layer.options, inputs[0].shape)
    names = [emitter.get(inputs[0], "keras"), emitter.constant(layer.weight("kernel"))]
    made = emitter.node("Einsum", names, equation=f"{given},{kernel}->{output}")
    if "bias" in layer.weights:
        made = emitter.node("Add", [made, emitter.constant(layer.weight("bias"))])
    return activated(emitter, layer.options["activation"], Tensor(shape, {"keras": made}))


def _attention(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    """MultiHeadAttention: softmax(q kᵀ / √d) v for each head, by matrix products."""
    query, value = inputs[0], inputs[1]
    key = inputs[2] if len(inputs) > 2 else value

    def heads(name: str, tensor: Tensor, order: tuple[int, ...], factor: float = 1.0) -> str:
        kernel = layer.weight(f"{name}/kernel") * np.float32(factor)
        flat = kernel.reshape(kernel.shape[0], -1)
        made = emitter.node("MatMul", [emitter.get(tensor, "keras"), emitter.constant(flat)])
        if f"{name}/bias" in layer.weights:
            bias = layer.weight(f"{name}/bias").ravel() * np.float32(factor)
            made = emitter.node("Add", [made, emitter.constant(bias)])
        length = static(tensor.shape)[0]
        return emitter.node("Transpose", [emitter.reshape(made, (length, *kernel.shape[1:]))], perm=order)

    scale = 1 / float(np.sqrt(layer.options["key_dim"]))
    scores = emitter.node("MatMul", [heads("query", query, (0, 2, 1, 3), scale), heads("key", key, (0, 2, 3, 1))])
    mixed = emitter.node("MatMul", [emitter.node("Softmax", [scores], axis=-1), heads("value", value, (0, 2, 1, 3))])
    kernel = layer.weight("attention_output/kernel")
    flat = kernel.reshape(-1, kernel.shape[-1])
    together = emitter.node("Transpose", [mixed], perm=(0, 2, 1, 3))
    made = emitter.reshape(together, (static(shape)[0], flat.shape[0]))
    made = emitter.node("MatMul", [made, emitter.constant(flat)])
    if "attention_output/bias" in layer.weights:
        made = emitter.node("Add", [made, emitter.constant(layer.weight("attention_output/bias"))])
    return Tensor(shape, {"keras": made})


def _dot(emitter: Emitter, layer: Layer, inputs: list[Tensor], shape: Shape) -> Tensor:
    first, second = inputs
    one, two = dot_axes(layer.options, (first.shape, second.shape))
    names = [emitter.get(item, "keras") for item in inputs]
    if layer.options["normalize"]:
        names = [
            unit(emitter, name, [axis], item.rank) for name, axis, item in zip(names, (one, two), inputs, strict=True)
        ]
    left = "".join("z" if axis == one else "bij"[axis] for axis in range(first.rank))
    right = "".join("z" if axis == two else "bkl"[axis] for axis in range(second.rank))
    output = "b" + (left + right).replace("b", "").replace("z", "")
    made = emitter.node("Einsum", names, equation=f"{left},{right}->{output}")
    return Tensor(shape, {"keras": made if len(output) > 1 else emitter.reshape(made, (1,))})


def _matmul(emitter: Emitter, _layer: Layer, inputs: list[Tensor | Array], shape: Shape) -> Tensor:
    names = [emitter.get(item, "keras") if isinstance(item, Tensor) else emitter.constant(item) for item in inputs]
    return Tensor(shape, {"keras": emitter.node("MatMul", names)})


PRODUCTS: dict[str, Lowering] = {
    "Dense": _dense,
    "Dot": _dot,
    "EinsumDense": _einsum_dense,
    "MultiHeadAttention": _attention,
    "matmul": _matmul,
}
