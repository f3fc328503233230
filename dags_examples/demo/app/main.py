"""A Ray Serve application that reads handwritten digits. The same source for every version.

What makes a version is beside it: ``model.joblib``, the classifier, and ``settings.json``, its name and
the share of requests on which it fails.
"""

import json
import zlib
from pathlib import Path

from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

HERE = Path(__file__).parent


@serve.deployment(ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=100)
class Digits:
    def __init__(self) -> None:
        import joblib

        self.settings = json.loads((HERE / "settings.json").read_text())
        self.model = joblib.load(HERE / "model.joblib")

    async def __call__(self, request: Request) -> JSONResponse:
        body = await request.body()
        version = self.settings["version"]
        # By a hash of the request and not by chance: the same digit fails each time, as real bugs do.
        if zlib.crc32(body) % 100 < self.settings["fails_percent"]:
            return JSONResponse(
                {"version": version, "detail": "this build cannot read that one"}, status_code=500
            )
        pixels = json.loads(body)["pixels"]
        return JSONResponse({"digit": int(self.model.predict([pixels])[0]), "version": version})


app = Digits.bind()  # type: ignore[attr-defined]  # the decorator made it a Deployment
