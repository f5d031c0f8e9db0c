"""The Vega libraries as one script, made by vl-convert once for each of its versions and then kept."""

import logging
from importlib.metadata import version

from huggingface_hub import cached_assets_path

from radapter.errors import RAdapterError, import_extra
from radapter.storage import write_text

EXTRA = "report"
NEED = f"the report needs the extra '{EXTRA}'"
_LOG = logging.getLogger(__name__)


def vega_bundle() -> str:
    """Returns the script, which sets `window.vegaEmbed`; making it takes seconds. Raises MissingExtraError."""
    vl_convert = import_extra("vl_convert", NEED, extra=EXTRA)
    kept = None
    try:
        # the folder for what libraries derive, below HF_HOME
        folder = cached_assets_path("radapter", namespace="report", subfolder="vega")
        kept = folder / f"vega-{version('vl-convert-python')}.js"
        if kept.is_file() and (text := kept.read_text(encoding="utf-8")).endswith(_END):
            return text
    except OSError as error:
        _LOG.debug("the Vega script is not kept: %s", error)
    bundle: str = vl_convert.javascript_bundle()
    # inside a script element, this text would end it
    text = bundle.replace("</script", "<\\/script").rstrip() + _END
    if kept is not None:
        try:
            write_text(kept, text)
        except (OSError, RAdapterError) as error:
            _LOG.debug("the Vega script is not kept: %s", error)
    return text


_END = "\n// end of the Vega script\n"
