"""The cost model: what an inference takes, instructions or cycles, before there is a program.

::

    prediction = predict(graph, plan, board)
    prediction.total, prediction.unit  # 16990000, "instructions"

A stage's price is a sum over the parts of its kernel: how often each runs follows from shapes (counts.py and its
neighbours), what one run takes stands in a table (table.py), which ``danas-deploy calibrate`` fits to measured stages.
"""

from pipeline.estimate.cost.counts import Detail, Details
from pipeline.estimate.cost.prediction import CostModel, Prediction, StageCost, predict
from pipeline.estimate.cost.table import CostTable, Spread, load
from pipeline.estimate.cost.terms import Form

__all__ = [
    "CostModel",
    "CostTable",
    "Detail",
    "Details",
    "Form",
    "Prediction",
    "Spread",
    "StageCost",
    "load",
    "predict",
]
