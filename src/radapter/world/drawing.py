"""From scenes to pixels and masks, all at once, in torch.

Each object is one sampling of its signed distance field under the scene's geometry. The distance in pixels gives
coverage, outline, shadow, glow and mask. Every operation is element by element or per scene, so a scene's pixels do
not depend on the batch it is drawn in.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from radapter.hashing import uniform
from radapter.world import shapes
from radapter.world.scenes import STYLES, Scenes
from radapter.world.styles import PAINTERS, Canvas

SIZE = 48
CHUNK = 128  # scenes drawn together: their planes stay in the processor's cache


def draw(scenes: Scenes) -> tuple[Tensor, Tensor]:
    """Draws N scenes.

    Returns:
        Images (N, 3, SIZE, SIZE), uint8; masks (N, SIZE, SIZE), uint8: 0 background, 1 the first object, 2 the
        second.
    """
    images = torch.empty(len(scenes), 3, SIZE, SIZE, dtype=torch.uint8)
    masks = torch.empty(len(scenes), SIZE, SIZE, dtype=torch.uint8)
    with torch.inference_mode():
        for start in range(0, len(scenes), CHUNK):
            part = slice(start, start + CHUNK)
            pixels, masks[part] = _draw(scenes.rows(part))
            images[part] = (pixels * 255 + 0.5).to(torch.uint8)
    return images, masks


def _draw(scenes: Scenes) -> tuple[Tensor, Tensor]:
    body, detail, rgb, mask = _objects(scenes)
    images = torch.empty(len(scenes), 3, SIZE, SIZE)
    for number, name in enumerate(STYLES):
        rows = torch.nonzero(scenes.style == number)[:, 0]
        if len(rows):
            canvas = Canvas(scenes.rows(rows), body[rows], detail[rows], rgb[rows])
            images[rows] = PAINTERS[name](canvas).clamp(0, 1)
    return images, mask


def class_masks(scenes: Scenes, masks: Tensor) -> Tensor:
    """Masks (N, SIZE, SIZE) of `draw` with classes in place of object numbers, int64: 0 background, 1 + class
    elsewhere.
    """
    table = F.pad(scenes.classes + 1, (1, 0))
    return table.gather(1, masks.long().flatten(1)).view(masks.shape)


def _objects(scenes: Scenes) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    body, detail = _placed(scenes, 0)
    rgb = scenes.rgb[:, 0, :, None, None].expand(-1, 3, SIZE, SIZE).contiguous()
    mask = (body < 0).to(torch.uint8)
    rows = torch.nonzero(scenes.has_two)[:, 0]
    if len(rows):
        second = scenes.rows(rows)
        other_body, other_detail = _placed(second, 1)
        nearer = other_body < body[rows]
        mask[rows] = torch.where(nearer & (other_body < 0), 2, mask[rows]).to(torch.uint8)
        rgb[rows] = torch.where(nearer[:, None], second.rgb[:, 1, :, None, None], rgb[rows])
        detail[rows] = torch.where(nearer, other_detail, detail[rows])
        body[rows] = torch.minimum(other_body, body[rows])
    return body, detail, rgb, mask


def _placed(scenes: Scenes, slot: int) -> tuple[Tensor, Tensor]:
    axis = (torch.arange(SIZE) + 0.5) * (2 / SIZE) - 1
    x = axis[None, None, :] - scenes.offset[:, slot, 0, None, None]
    y = axis[None, :, None] - scenes.offset[:, slot, 1, None, None]
    scale = scenes.scale[:, slot, None, None]
    cosine, sine = (
        scenes.rotation[:, slot].cos()[:, None, None],
        scenes.rotation[:, slot].sin()[:, None, None],
    )
    stretch = (0.5 * scenes.aspect[:, slot]).exp()[:, None, None]
    across = (cosine * x + sine * y) / (scale * stretch) * scenes.flip[:, slot, None, None]
    down = (cosine * y - sine * x) / scale * stretch
    # A painter's hand wavers; elsewhere the outline is only a little off.
    painted = scenes.style == STYLES.index("painting")
    amplitude = torch.where(painted, 0.04 + 1.6 * scenes.warp, scenes.warp)[:, None, None]
    phase = 6.2832 * uniform(scenes.seed, scenes.index, f"phase {slot}", 4)[..., None, None]
    across = across + amplitude * ((3.1 * down + phase[:, 0]).sin() + 0.6 * (5.7 * down + phase[:, 1]).sin())
    down = down + amplitude * ((3.3 * across + phase[:, 2]).sin() + 0.6 * (5.9 * across + phase[:, 3]).sin())
    field = shapes.bank()[scenes.classes[:, slot], scenes.variant[:, slot]]
    grid = torch.stack([across, down], -1) / shapes.EXTENT
    sampled = F.grid_sample(field, grid, padding_mode="border", align_corners=True)
    # Outside the grid the border's distance is too short by about the distance to the border.
    beyond = (grid.abs() - 1).clamp(min=0).sum(-1) * shapes.EXTENT
    pixels = (sampled + beyond[:, None]) * (scale * (SIZE / 2))[:, None]
    return pixels[:, 0].contiguous(), pixels[:, 1].contiguous()
