"""Key providers: what wraps the data keys. One a file; which one wraps is a setting, all that are set up can unwrap."""

from hilum.security.keys.provider import Provider, Providers, Wrapped, context

__all__ = ["Provider", "Providers", "Wrapped", "context"]
