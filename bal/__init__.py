"""Bayesian active learning on JAX.

acquisition   predictions -> scores, one number a row
selection     scores or rows -> a batch of picks
kernels       what batch rules compare rows with, and transforms of rows
learners      posteriors over functions: deep ensembles, Monte-Carlo dropout, Gaussian processes (`learners.gp`)
query         the funnel of stages that turns a posterior and a pool into picks
targets       what an EPIG stage is about: target rows, priors
covariance_scores, probit_scores  row functions that join rows and targets by a covariance
candidate_sampler  score a remembered sample of the pool instead of all of it
propose       the best input of a whole box, where no pool limits the choice
loop          `run`: a whole experiment as one program
seeds         `run_seeds`: that program for many seeds, spread over the devices
eager         `run_eager`: the same experiment round by round, for streamed pools, host models and records
campaign      ask / tell / skip, where people or laboratories give the labels
arrays, checks, doors  what is handed in: read, checked, and refused in one sentence
labeled, rows the acquisition log; how a row-wise function meets a pool: dense, chunked, streamed, on the host
fingerprint, identity, checkpoint, events  whose a record is, and what it keeps
evaluation    metrics, learning curves, paired statistics over seeds
records       what a run leaves on disk
datasets      loaders of real data

Nothing heavy is imported here: write ``from bal.acquisition import bald``.
"""

__version__ = "0.1.0"
