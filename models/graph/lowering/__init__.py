"""Layers and operations in ONNX: one function for each kind."""

from foodscene.models.graph.lowering.activations import ACTIVATIONS
from foodscene.models.graph.lowering.elementwise import ELEMENTWISE
from foodscene.models.graph.lowering.images import IMAGES
from foodscene.models.graph.lowering.normalization import NORMALIZATIONS
from foodscene.models.graph.lowering.products import PRODUCTS
from foodscene.models.graph.lowering.shaping import SHAPING
from foodscene.models.graph.lowering.tensors import Lowering
from foodscene.models.graph.lowering.windows import WINDOWS

LOWERINGS: dict[str, Lowering] = {
    **ACTIVATIONS,
    **ELEMENTWISE,
    **IMAGES,
    **NORMALIZATIONS,
    **PRODUCTS,
    **SHAPING,
    **WINDOWS,
}
"""How each kind of layer and operation is written in ONNX."""
