"""What can be asked of the plane, one room for each kind of thing."""

from anyservice_core.plane.endpoints.clouds import clouds
from anyservice_core.plane.endpoints.computes import computes
from anyservice_core.plane.endpoints.events import events
from anyservice_core.plane.endpoints.images import images
from anyservice_core.plane.endpoints.own import own
from anyservice_core.plane.endpoints.projects import projects
from anyservice_core.plane.endpoints.services import services
from anyservice_core.plane.endpoints.tags import tags
from anyservice_core.plane.endpoints.tokens import tokens
from anyservice_core.plane.endpoints.uploads import uploads
from anyservice_core.plane.endpoints.versions import versions
from anyservice_core.plane.routes import Routes

__all__ = ["endpoints"]

endpoints = Routes(services, versions, events, tags, tokens, clouds, projects, computes, images, uploads, own)
