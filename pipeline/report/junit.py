"""JUnit's XML, as CI servers read it: a case a check."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from pipeline.errors import printable
from pipeline.validate import Check


def case(suite: ET.Element, group: str, check: Check) -> None:
    """Add a check; one that does not hold is a failure."""
    element = ET.SubElement(suite, "testcase", classname=group, name=printable(check.id))
    text = printable(
        f"{check.title}: expected {check.expected} {check.unit} ({check.expected_source}, {check.tolerance}), "
        f"found {check.measured} {check.unit} ({check.measured_source}). {check.detail}",
        1000,
    )
    if check.passed:
        ET.SubElement(element, "system-out").text = text
    else:
        ET.SubElement(element, "failure", message=text, type="Check").text = text


def error_case(suite: ET.Element, group: str, id_: str, text: str) -> None:
    """Add what could not be checked at all."""
    element = ET.SubElement(suite, "testcase", classname=group, name="verified")
    ET.SubElement(element, "error", message=printable(text, 1000), type=printable(id_)).text = printable(text, 1000)


def document(suite: ET.Element) -> str:
    """The whole document, ending in a line feed."""
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"
