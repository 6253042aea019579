"""A minibatch on every core (shard, workers, worker, memory), or shared by the processes of an MPI launcher (ranks)."""
