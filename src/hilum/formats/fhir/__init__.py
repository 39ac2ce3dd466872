"""FHIR: resources as plain documents."""
