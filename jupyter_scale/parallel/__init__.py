"""One model, trained on the workers of a cluster at once: synchronous data parallelism.

`train` starts a rank of torch.distributed in each Dask worker and runs a function there. The
function gets a `Context`: its rows of the data, gradients averaged over all ranks, checkpoints.
Invariants:

- A global batch is the same rows however many ranks there are and whichever rows each of them
  has, and its gradient is that of one process: training does not depend on the cluster.
- What a rank was doing is known from the seed, the epoch and the step alone, so a training that
  lost workers goes on, from its last checkpoint, as if it had not.
- A process group is left whatever ends the rank. A rank that is lost is waited for by nobody, once
  Dask's scheduler knows of it; what waits for one that is not, for no longer than its timeout.

    launch    starts the ranks, follows them, starts them again: in the notebook's process
    placing   which workers, and what they have
    shards    the data, divided
    rank      a rank: in a worker
    connections  with the other ranks, ended when it is to leave
    context   what the function sees of it
    gradients, batches, training   the average; the order of rows; what is known of a training

torch is imported in workers only, and when it is needed. Gradients travel between workers without
encryption (torch.distributed has none): on one machine over its loopback, else in a network that is
trusted.
"""

from jupyter_scale.parallel.batches import batches
from jupyter_scale.parallel.context import Context
from jupyter_scale.parallel.launch import train
from jupyter_scale.parallel.training import Report, Training, TrainingError

__all__ = ["Context", "Report", "Training", "TrainingError", "batches", "train"]
