"""Peak learning rates: those that a method's source published for CLIP ViT-B, scaled to another width.

    default = published * 768 / D        D is the width of the image tower

AdamW moves every entry of a weight by about the learning rate in a step. The output of a matrix sums D such moves,
so the rate that suits a tower falls with its width (Yang et al., "Tensor programs V: tuning large neural networks
via zero-shot hyperparameter transfer", 2022). A head reads the joint space, so its rate is not scaled. Another rate
than the default scales all rates of a method by the factor

    m = rate / default        head = head_learning_rate * m
"""

from radapter.methods.method import Method

CLIP_WIDTH = 768  # D of CLIP ViT-B's image tower


def default_rate(method: Method, image_width: int) -> float:
    """The default of `train.lr`: the towers' peak rate, or the head's if nothing else is trained."""
    return method.learning_rate * (CLIP_WIDTH / image_width if method.towers else 1.0)


def multiplier(method: Method, image_width: int, learning_rate: float | None) -> float:
    """m, the factor between a rate and the method's default at this width; 1 for None, the default itself."""
    return 1.0 if learning_rate is None else learning_rate / default_rate(method, image_width)


def head_rate(method: Method, image_width: int, learning_rate: float | None) -> float | None:
    """The head's peak rate at `train.lr`; None if no head is trained."""
    if method.head_learning_rate is None:
        return None
    return method.head_learning_rate * multiplier(method, image_width, learning_rate)


def in_words(method: Method, image_width: int, learning_rate: float | None) -> str:
    """The rates of a training and their source: "learning rate 0.003: 5e-4 for CLIP ViT-B (LoRA's release) ..."."""
    default = default_rate(method, image_width)
    head = head_rate(method, image_width, learning_rate) if method.towers else None
    rate = f"{default if learning_rate is None else learning_rate:.4g}"
    used = f"learning rate {rate}" + ("" if head is None else f", head {head:.4g}")
    source = f"{scientific(method.learning_rate)} for CLIP ViT-B ({method.rate_source})"
    if method.towers:
        source += f" x {CLIP_WIDTH} / {image_width}, the image tower's width"
    if learning_rate is None:
        return f"{used}: {source}"
    return f"{used}: train.lr. The default is {default:.4g}: {source}"


def scientific(rate: float) -> str:
    """Three digits, such as 5e-4 instead of 0.0005; 0.1 stays."""
    if rate >= 1e-2:
        return f"{rate:.3g}"
    mantissa, exponent = f"{rate:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"
