"""Doors to other libraries: queries as strategies of modAL and scikit-activeml, data sets of Hugging Face as tasks,
posteriors as files of safetensors. Each needs its library, `pip install bal-jax[bridges]`, when it is first called.

Models of scikit-learn, and any pair of functions (torch, ONNX, a service), are learners: `bal.learners.from_sklearn`,
`bal.learners.from_functions`. Tables are read by `bal.task`.
"""

from bal.bridges.hugging_face import HuggingFaceRows, HuggingFaceTask, hugging_face_task
from bal.bridges.modal import as_modal
from bal.bridges.safe_tensors import load_posterior, save_posterior
from bal.bridges.scikit_activeml import as_skactiveml

__all__ = [
    "HuggingFaceRows",
    "HuggingFaceTask",
    "as_modal",
    "as_skactiveml",
    "hugging_face_task",
    "load_posterior",
    "save_posterior",
]
