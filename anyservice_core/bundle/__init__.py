"""A local folder as a zip that is the same wherever and whenever it is made.

The name of a bundle is a hash of what is in it: paths, executable bits and bytes, in sorted order. Times, owners, the order
of the file system and the zip format itself have no say. So an unchanged folder is uploaded once, whoever deploys it, and a
rollout whose identity includes the bundle's URI survives being run again on another machine.

Three steps, each of which is taken only if the one before says so:

``survey``  walks the folder: what goes in, and what stays out (``ignoring.py`` says why)
``hashed``  reads every byte once and gives the name. Where the storage has it already, this is the end
``packed``  reads what shrinks again, compresses it into a temporary file, and gives an ``Archive``, whose length is known
            and whose ``chunks`` come from there and, for the rest, straight from the folder

A file may change between the steps. Every byte that goes out is compared with what the name was made of first, so that no
content is ever stored under the name of another.

Memory holds a note on each file and a few pieces of ``PIECE`` bytes, whatever the size of the tree.
"""

from anyservice_core.bundle.hashing import Hashed, hashed
from anyservice_core.bundle.packing import Archive, packed
from anyservice_core.bundle.requirements import read_requirements, read_text
from anyservice_core.bundle.telling import Bundling, Done, LeftOut, Work, step
from anyservice_core.bundle.walking import Member, Tree, survey

__all__ = [
    "Archive",
    "Bundling",
    "Done",
    "Hashed",
    "LeftOut",
    "Member",
    "Tree",
    "Work",
    "hashed",
    "packed",
    "read_requirements",
    "read_text",
    "step",
    "survey",
]
