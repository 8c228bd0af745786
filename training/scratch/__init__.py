"""A network library in NumPy, to read and to train with.

layer            what all layers share
dense            dense, flatten, dropout, the scaling of pixels
convolution      convolution as a product of matrices, and `threads`, which shares it among the cores
pooling          maximum, mean, root of the squares
normalization    batch norm
activations      sigmoid, tanh, arctan, ReLU, step, softmax
losses           mean squared error, cross-entropy
network          layers one after the other, and their training step
optimizers       gradient descent, momentum, AdaGrad, RMSprop, Adam
initializers     how kernels and biases are drawn
schedules        how the learning rate changes

`recipes` makes a network of a recipe, `graph` one of Keras' layers for its file; `training.loop.scratch` is the loop.
Pictures are (n, height, width, channels). "Goodfellow et al." is "Deep Learning", 2016, by section.
"""
