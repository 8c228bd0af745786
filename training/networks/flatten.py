"""A network without networks among its layers: so that one can look at every layer of it."""

import keras


def flat(model: keras.Model) -> keras.Model:
    """The same network, with copies of its layers and weights, the layers of networks within it in their place.

    `model` is functional or sequential, with one input and one output, as is each model among its layers, however
    deep. A layer of the network `vgg16` within it is called `vgg16.block1_conv1`. A network of layers alone is returned
    as it is.
    """
    if not any(isinstance(layer, keras.Model) for layer in model.layers):
        return model
    origins: dict[str, keras.layers.Layer] = {}
    within = _replayed(model, "", origins)
    # Once more, for layers that are called in this network alone: their `output` is the one here.
    copy = keras.models.clone_model(within, call_function=_called)
    for layer in copy.layers:
        if layer.name in origins:
            layer.set_weights(origins[layer.name].get_weights())
    return copy


def _called(layer: keras.layers.Layer, *inputs: object, **options: object) -> object:
    """Calls a layer, and leaves out the conversion to a tensor that a model's `call` begins with, which is no layer."""
    return layer(*inputs, **options) if isinstance(layer, keras.layers.Layer) else inputs[0]


def _replayed(model: keras.Model, prefix: str, origins: dict[str, keras.layers.Layer]) -> keras.Model:
    """A functional model whose layers, those of inner models too, are new and called by their `prefix` and name."""

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Model):
            return _replayed(layer, f"{prefix}{layer.name}.", origins)
        origins[prefix + layer.name] = layer
        return type(layer).from_config({**layer.get_config(), "name": prefix + layer.name})

    def call(layer: keras.layers.Layer, *inputs: object, **options: object) -> object:
        # A model that is called is one layer; by its `call`, it calls its layers one by one.
        return layer.call(*inputs, **options) if isinstance(layer, keras.Model) else layer(*inputs, **options)

    functional = keras.Model(model.inputs[0], model.outputs[0], name=model.name)  # a Sequential too
    return keras.models.clone_model(functional, clone_function=clone, call_function=call)
