"""From the bytes of a photo to an upright 8-bit picture in sRGB: what `models.pixels` is built of.

In order: `inspection` says what a photo is and what decoding it will cost, by the module of its format; `limits` what
is accepted; `loading` decodes, `flattening` and `colour` make 8-bit sRGB of it, `fitting` gives it its size.
"""
