"""Keras' layers that foodscene knows: their options, the shapes of their weights, the shape of their answer.

Defaults, names and formulas are those of Keras 3 (keras.io/api/layers). What stands in `LAYERS` is the allow-list:
a file with any other layer is refused.
"""

from foodscene.models.graph.layers.activations import ACTIVATION_LAYERS
from foodscene.models.graph.layers.convolutions import CONVOLUTIONS
from foodscene.models.graph.layers.kind import LayerKind
from foodscene.models.graph.layers.normalization import NORMALIZATIONS
from foodscene.models.graph.layers.products import PRODUCTS
from foodscene.models.graph.layers.shaping import SHAPING
from foodscene.models.graph.layers.windows import WINDOWS

LAYERS: dict[str, LayerKind] = {**ACTIVATION_LAYERS, **CONVOLUTIONS, **NORMALIZATIONS, **PRODUCTS, **SHAPING, **WINDOWS}
"""What is read, compiled and written. None of them runs code from a file or opens another one."""

AT_REST = frozenset(
    """
    ActivityRegularization AugMix GaussianNoise RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter
    RandomContrast RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHeight
    RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness
    RandomShear RandomTranslation RandomWidth RandomZoom
    """.split()
)
"""Layers that do something while a network trains, and nothing when it answers: read as `Identity`."""
