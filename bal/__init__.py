"""Bayesian active learning on JAX.

acquisition   predictions -> scores, one number a row
selection     scores or rows -> a batch of picks
kernels       what batch rules compare rows with, and transforms of rows
targets       what an EPIG stage is about: target rows, priors
candidate_sampler  score a remembered sample of the pool instead of all of it
learners      posteriors over functions: deep ensembles, Monte-Carlo dropout
query         the funnel of stages that turns a posterior and a pool into picks
loop          whole experiments: compiled (`run`, `run_seeds`) and eager (`run_eager`)
campaign      ask / tell / skip, where people or laboratories give the labels
rows          how a row-wise function meets a pool: dense, chunked, streamed, on the host
evaluation    metrics, learning curves, paired statistics over seeds
records       what a run leaves on disk
datasets      loaders of real data

Nothing heavy is imported here: write ``from bal.acquisition import bald``.
"""

__version__ = "0.1.0"
