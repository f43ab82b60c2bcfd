"""The page for files: clips are dropped on it, looked at derained, and derained one after the other.

What a browser is sent of pictures, and who may ask, is the live page's business (`preview`); what deraining is, that of
`batch` and `run`. Here is what lies between: the clips that there are, the work on them, and what the page asks for.
"""
