"""The pieces that mixers are put together from: each module is real code, tested by itself, and copied as text.

A module here holds functions of tensors and nothing else; the writer copies the whole module into a candidate's file
but for its docstring, imports and constants. So these modules import only what a candidate may import.
"""
