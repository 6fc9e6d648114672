"""Convolutions in native code, channels last: code of its own for each shape, any number of images.

`plan.geometry` says what is asked for, and brings the gradient for the input into the form of convolutions;
`tile.py` has the one micro-kernel, which keeps a tile of the result in registers; `shapes.py` chooses tiles,
`cutting.py` and `weight_tiles.py` say what they sum up; `packing.py` lays the weights out in panels.
`correlate.py` has the loops of a convolution and of its gradient for the input, `weights.py` those of the
gradient for the weights. `emit.py` is the way in, `step.py` the step of a plan.

Elements outside an image are never read: where a tile touches an edge, its code leaves out what would be
multiplied by 0. Results depend on sizes alone, never on the number of threads.
"""
