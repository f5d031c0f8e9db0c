"""radapter: fine-tune CLIP-like models robustly, and get a plain checkpoint back.

The pieces for a loop of your own:

    encoder = radapter.load("open_clip:ViT-B-16/openai")
    model = peft.get_peft_model(encoder.module, radapter.RAdapterConfig())
    ema = radapter.Ema(model, decay=0.999)
    loss = radapter.mpm_nce(image_features, text_features, labels, encoder.logit_scale, margin=0.05)
    radapter.export(encoder, to="merged", alpha=0.5)

Importing this package registers the adapter with PEFT, so that `PeftModel.from_pretrained` knows it.
CONTRIBUTING.md lists the packages.
"""

from importlib.metadata import version

from radapter.adapter import Ema, RAdapterConfig, RAdapterModel, set_alpha
from radapter.evaluation import alpha_sweep
from radapter.losses import clip_loss, head_cross_entropy, mpm_nce, mpm_nce_tiled, siglip_loss
from radapter.models import ClassHead, DualEncoder, export, fingerprint, load
from radapter.zeroshot import LinearHead, class_embeddings, templates

__version__ = version("radapter")

__all__ = [
    "ClassHead", "DualEncoder", "Ema", "LinearHead", "RAdapterConfig", "RAdapterModel", "__version__",
    "alpha_sweep", "class_embeddings", "clip_loss", "export", "fingerprint", "head_cross_entropy", "load",
    "mpm_nce", "mpm_nce_tiled", "set_alpha", "siglip_loss", "templates",
]  # fmt: skip
