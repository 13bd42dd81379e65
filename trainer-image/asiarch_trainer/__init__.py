"""What measures a candidate: the referee owns data and scores, the player runs the candidate's code.

The two share only the wire (`asiarch_trainer.wire`). Nothing here imports from `asiarch` but `asiarch.api`.
"""
