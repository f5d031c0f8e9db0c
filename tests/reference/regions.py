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


def framed(image, mask, *, expand, square, fill):
    """Image and mask with the frame around the mask's box alone, filled where the image has no pixel."""
    left, top, right, bottom = box(mask)
    width, height = right - left, bottom - top
    side = max(width, height)
    wide, high = (round((side if square else length) * expand) for length in (width, height))
    first_x, first_y = left - (wide - width) // 2, top - (high - height) // 2
    cut = torch.tensor(fill, dtype=image.dtype)[:, None, None].repeat(1, high, wide)
    for y in range(high):
        for x in range(wide):
            at_y, at_x = first_y + y, first_x + x
            if 0 <= at_y < mask.shape[0] and 0 <= at_x < mask.shape[1] and mask[at_y, at_x]:
                cut[:, y, x] = image[:, at_y, at_x]
    return cut


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
