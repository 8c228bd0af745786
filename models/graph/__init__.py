"""Keras models as data: read from an `.h5` or `.keras` without Keras, written back, and compiled to ONNX.

`graph` says what a model is; `reader` makes one of a file, by `storage` (HDF5), `configuration` (its JSON), `dialects`
(what Keras 1, 2 and 3 call things), and `layers` and `operations` (what foodscene knows); `writer` makes a file of one;
`compiler` and `lowering` an ONNX model.
"""
