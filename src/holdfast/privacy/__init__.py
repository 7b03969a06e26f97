"""Privacy at the door: private parts and secrets are taken out before anything is kept."""

from holdfast.privacy.door import Door, cleaned_lines
from holdfast.privacy.screen import compiled, compiled_apart, kept_screen

__all__ = ["Door", "cleaned_lines", "compiled", "compiled_apart", "kept_screen"]
