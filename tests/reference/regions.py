"""Overlaps, suppression, boxes and crops, one region and one pixel at a time."""

import torch
import torch.nn.functional as F


def iou(first, second):
    """Of two (H, W) bool masks."""
    shared = union = 0
    for a, b in zip(first.flatten().tolist(), second.flatten().tolist(), strict=True):
        shared += a and b
        union += a or b
    return shared / union if union else 0.0


def kept(masks, threshold):
    """Numbers of the masks that stay, taken in their order."""
    numbers = []
    for number, mask in enumerate(masks):
        if all(iou(mask, masks[other]) <= threshold for other in numbers):
            numbers.append(number)
    return numbers


def box(mask):
    """Left, top, right, bottom, the last two exclusive."""
    hits = [(y, x) for y, row in enumerate(mask.tolist()) for x, hit in enumerate(row) if hit]
    if not hits:
        return [0, 0, 0, 0]
    ys, xs = [y for y, _ in hits], [x for _, x in hits]
    return [min(xs), min(ys), max(xs) + 1, max(ys) + 1]


def crop(image, mask, *, size, fill, antialias):
    """Cut out, fill, resize by torch: (3, S, S), not normalised, overshoot left in."""
    left, top, right, bottom = box(mask)
    cut = image[:, top:bottom, left:right].clone()
    for channel in range(3):
        cut[channel][~mask[top:bottom, left:right]] = fill[channel]
    return F.interpolate(cut[None], (size, size), mode="bicubic", antialias=antialias)[0]


def crop_mask(mask, *, size):
    """(S, S), bool, by torch's nearest neighbour."""
    left, top, right, bottom = box(mask)
    return (
        F.interpolate(mask[None, None, top:bottom, left:right].float(), (size, size), mode="nearest")[0, 0]
        > 0
    )


def random_masks(count, height, width, *, seed):
    """Ellipses of any size; (Q, H, W), bool."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
    centre = torch.rand(count, 2, 1, 1, generator=generator)
    radius = 0.03 + 0.6 * torch.rand(count, 2, 1, 1, generator=generator) ** 2
    return ((y - centre[:, 0]) / radius[:, 0]) ** 2 + ((x - centre[:, 1]) / radius[:, 1]) ** 2 < 1
