"""Where clients may put a working directory: one signed URL for one file."""

from __future__ import annotations

from typing import Any

from anyservice_core.models.wire import PresignedWire, PresignRequest
from anyservice_core.plane.desk import Desk
from anyservice_core.plane.routes import ApiRequest, Routes

__all__ = ["routes"]

routes = Routes()


@routes.on(
    "POST /api/v2/clouds/{cloud}/generate_cloud_data_bucket_presigned_url",
    body=PresignRequest,
    answer=PresignedWire,
    refusals=(404, 422),
)
def _presign(desk: Desk, request: ApiRequest, cloud: str) -> Any:
    """Give a URL to which one file may be sent, without a token and for a while."""
    desk.registry.clouds.get(cloud)
    name = request.body.file_name
    return PresignedWire(
        file_uri=desk.bundles.uri(name),
        url=f"{request.base_url}/plane/v1/bundles/{name}?{desk.bundles.pass_for(name)}",
        file_exists=desk.bundles.has(name),
        bucket_name="bundles",
        bucket_path=name,
    )
