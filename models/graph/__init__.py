"""Keras models as data: read from an `.h5` or `.keras` without Keras, written back, and compiled to ONNX.

`graph` says what a model is; `reader` makes one of a file, by `storage` (HDF5), `dialects` (what Keras 1, 2 and 3 call
things), `layers` and `operations` (what foodscene knows); `writer` makes a file of one; `compiler` and `lowering` an
ONNX model; `outputs` and `scaling` say what its answers and its pixels mean; `imported` checks an ONNX file of others.
"""
