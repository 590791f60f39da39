"""NeurONAL's two networks: one predicts the loss of each class, the other what the first gets wrong."""

from bal.learners.neuronal.embeddings import block_embedding, gradient_embedding, paper_embedding
from bal.learners.neuronal.learner import NeuronalState, neuronal

__all__ = ["NeuronalState", "block_embedding", "gradient_embedding", "neuronal", "paper_embedding"]
