"""
Serve a model over HTTP
=======================

A service that loads a model of ``skbp.save``, answers one and many rows, says that it is well, and
tells in words what is wrong with a request. Needs ``pip install fastapi uvicorn``. ::

    python examples/serving.py model.skbp --port 8000 --workers 2
    curl localhost:8000/predict -H "Content-Type: application/json" -d '{"rows": [[5.1, 3.5]]}'

The page "Serve predictions" of the guide explains it, and has figures.
"""

import argparse
import os
from typing import Annotated

import numpy as np
import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from threadpoolctl import threadpool_limits

import skbp

#: The most rows of a request: it bounds memory, and how long others wait.
MAX_ROWS = 1000

Number = Annotated[float, Field(strict=True)]  # not "1.5", not true, not null


class Request(BaseModel, extra="forbid"):
    """Rows to predict for, each with the model's features in their order."""

    rows: list[list[Number]] = Field(min_length=1, max_length=MAX_ROWS)


class Model:
    """A fitted estimator or pipeline, as a function from lists of rows to lists of answers."""

    def __init__(self, path):
        self.estimator = model = skbp.load(path, mmap=True)  # workers share the weights
        if hasattr(model, "predictor"):
            self._predict = model.predictor(MAX_ROWS)
        else:  # a pipeline, say
            self._predict = getattr(model, "predict_proba", model.predict)
        self.answer([[0.0] * model.n_features_in_])  # compiled kernels are loaded here, not later

    def answer(self, rows):
        """Return the answers; raise a ValueError if there is something wrong with a row."""
        lengths = {len(row) for row in rows}
        if len(lengths) > 1:
            raise ValueError(f"rows have different lengths, from {min(lengths)} to {max(lengths)}.")
        answers = self._predict(np.array(rows, np.float64))
        if answers.dtype.kind == "f" and not np.isfinite(answers).all():  # JSON cannot say so
            raise ValueError("rows have values so large that the answer is no finite number.")
        return answers.tolist()

    def about(self):
        """Return what a client has to know."""
        found = {"model": type(self.estimator).__name__, "features": self.estimator.n_features_in_}
        if hasattr(self.estimator, "feature_names_in_"):
            found["names"] = self.estimator.feature_names_in_.tolist()
        if hasattr(self.estimator, "classes_"):
            found["classes"] = np.asarray(self.estimator.classes_).tolist()
        return found


def refuse(request, error):
    """Tell what is wrong with a request; FastAPI would send all rows back beside the words."""
    faults = [{"loc": fault["loc"], "msg": fault["msg"]} for fault in error.errors()[:10]]
    return JSONResponse({"detail": faults}, status_code=422)


def make_app():
    """Return the service for the model in the file that SKBP_MODEL names."""
    threadpool_limits(1)  # of this worker: workers share the cores, not the rows of a request
    model = Model(os.environ["SKBP_MODEL"])
    app = FastAPI(title="skbp")
    app.add_exception_handler(RequestValidationError, refuse)

    @app.get("/health")
    async def health():
        return {"status": "ok", **model.about()}

    # A small network answers sooner than a thread is found: hence async. With a model that takes
    # milliseconds write `def`; then FastAPI calls it in threads, which a predictor is made for.
    @app.post("/predict")
    async def predict(request: Request):
        try:
            return JSONResponse({"answers": model.answer(request.rows)})
        except ValueError as error:
            words = str(error).partition("\n")[0]  # what follows is for those who train
            fault = {"loc": ("body", "rows"), "msg": words}
            raise RequestValidationError([fault]) from error

    return app


def main():
    """Start the service; SIGTERM or Ctrl-C ends it when all requests are answered."""
    parser = argparse.ArgumentParser(description="Serve a model over HTTP.")
    parser.add_argument("model", help="its file")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0: one that is free")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    options = parser.parse_args()
    os.environ["SKBP_MODEL"] = os.path.abspath(options.model)
    Model(options.model)  # a file that is none ends it here, not each worker again and again
    uvicorn.run(
        "serving:make_app", factory=True, app_dir=os.path.dirname(os.path.abspath(__file__)),
        host=options.host, port=options.port, workers=options.workers, access_log=False,
        timeout_worker_healthcheck=60,  # by default a worker that imports for 5 s is ended
    )  # fmt: skip


if __name__ == "__main__":
    main()
