"""Expressions: what is known of a text in PQL before it is used."""

from gateway.domain.config.configuration import Configuration
from gateway.domain.rules.scope import READ_CONFIGURATION, Scope
from gateway.pql.check import Checked, check, event_type, profile_type
from gateway.pql.types import ObjectOf
from gateway.xdm.classes import XdmClass


def check_expression(scope: Scope, config: Configuration, text: str, xdm_class: XdmClass) -> Checked:
    """Return what is known of an expression over a profile or an event of the sandbox. Looks at no data.

    Needs a scope that reads the configuration; raises Forbidden.
    """
    scope.require(*READ_CONFIGURATION)
    return check(text, input_type(config, xdm_class))


def input_type(config: Configuration, xdm_class: XdmClass) -> ObjectOf:
    """Return the type of what an expression of a class is about: a profile with its events, or one event."""
    event = config.union(XdmClass.EXPERIENCE_EVENT)
    if xdm_class is XdmClass.EXPERIENCE_EVENT:
        return event_type(event)
    return profile_type(config.union(XdmClass.INDIVIDUAL_PROFILE), event)
