"""The figures of a page as Vega-Lite specifications, made with altair, each a single view of any width.

The page's script replaces the named data "chosen" and "gains". Colours are Okabe and Ito's: one for each method, as
in frontier.png, blue and orange for two models that are compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt

from radapter.report.cells import curves
from radapter.report.frontier import spread, styles
from radapter.report.page.details import Details, Rows
from radapter.report.page.source import Logged
from radapter.runs.movement import Moved
from radapter.runs.results import Results

_BEFORE, _AFTER, _ROLES = "#E69F00", "#0072B2", {"id": "#0072B2", "ood": "#E69F00", "transfer": "#009E73"}
ROLE_WORDS = {"id": "in distribution", "ood": "out of distribution", "transfer": "kept"}
_STEPS = 400  # points of a training curve
_BARS = 30  # classes above which only the ends of the order are drawn


class Chart(NamedTuple):
    """A figure: its specification, a title, a text alternative, and the rows that a table beside it shows."""

    spec: dict[str, Any]
    title: str
    text: str
    rows: Rows


def figures(
    results: Results,
    facts: Mapping[str, Any],
    details: Details | None,
    logged: Sequence[Logged],
    moved: Sequence[Moved],
) -> dict[str, Chart]:
    """Returns the figures that the data allow, by name."""
    found = dict(_of_results(results, facts))
    found |= _training(logged, results)
    if details is not None:
        found |= _of_details(details)
    for tower in ("image", "text"):
        rows = _moved_rows(moved, tower)
        if rows:
            found[f"moved_{tower}"] = _moved(rows, tower)
    return found


def _of_results(results: Results, facts: Mapping[str, Any]) -> Iterator[tuple[str, Chart]]:
    if facts["methods"]:
        if results.sets("ood"):
            yield (
                "frontier_ood",
                _frontier(results, facts, "ood", "Out of distribution against in distribution"),
            )
        if results.sets("transfer"):
            yield "frontier_kept", _frontier(results, facts, "kept", "Kept against in distribution")
        yield "gains", _gains(results, len(facts["sets"]))
    levels = results.levels
    for number, level in enumerate(levels.id if levels is not None else ()):
        chart = _at_level(results, number, level)
        if chart is not None:
            yield f"level_{number + 1}", chart


def _frontier(results: Results, facts: Mapping[str, Any], of: str, title: str) -> Chart:
    label = results.headline.label
    rows, ends = [], []
    colours = styles([row.method for row in results.rows])
    for curve in curves(results):
        named = [row.method for row in curve.rows]
        if not named:
            continue
        line = ", ".join(named)
        points = max((facts["methods"][name] for name in named), key=len)
        rows += [{"method": line, "alpha": p["alpha"], "ID": p["id"], "y": p[of]} for p in points]
        ends.append(
            {"method": line, "ID": points[-1]["id"], "y": points[-1][of], "colour": colours[named[-1]][0]}
        )
    start = {"ID": facts["zeroShot"]["id"], "y": facts["zeroShot"][of], "method": "zero-shot"}
    xs, ys = [row["ID"] for row in [*rows, start]], [row["y"] for row in [*rows, start]]
    low, high = min(xs), max(xs)
    room = (high - low) or 0.01
    domain = [low - 0.05 * room, high + 0.42 * room]
    height = (max(ys) - min(ys)) or 0.01
    ends.sort(key=lambda end: end["y"])
    for end, place in zip(ends, spread([(e["y"] - min(ys)) / height for e in ends], 0.09), strict=True):
        end["place"] = min(ys) + place * height
        end["x"] = end["ID"] + 0.03 * room
    # the name stands where the curves do not start
    rises = sum(points[1][of] - start["y"] for points in facts["methods"].values() if len(points) > 1)
    ordinate = alt.Scale(domain=[min(ys) - 0.1 * height, max(ys) + 0.1 * height])
    x = alt.X("ID:Q", axis=alt.Axis(format=".1~%", tickCount=5), scale=alt.Scale(domain=domain, nice=False))
    words = "Kept" if of == "kept" else "Out of distribution"
    x, y = x.title(f"In distribution, {label}"), alt.Y("y:Q", scale=ordinate).axis(format=".1~%", tickCount=6)
    y = y.title(f"{words}, {label}")
    names = [end["method"] for end in ends]
    scale = alt.Scale(
        domain=[*names, *facts["methods"]],
        range=[*(end["colour"] for end in ends), *(colours[name][0] for name in facts["methods"])],
    )
    colour = alt.Color("method:N", scale=scale, legend=None)
    tip = ["method:N", alt.Tooltip("alpha:Q", format=".2g"), alt.Tooltip("ID:Q", format=".1%")]
    tip.append(alt.Tooltip("y:Q", format=".1%", title=words))
    lines = alt.Chart(alt.Data(values=rows)).mark_line(point=alt.OverlayMarkDef(size=16), strokeWidth=2)
    star = alt.Chart(alt.Data(values=[start])).encode(x=x, y=y)
    text = alt.Chart(alt.Data(values=ends)).mark_text(align="left", fontWeight="bold", fontSize=12)
    chosen = alt.Chart(alt.NamedData("chosen")).mark_point(filled=True, size=170, opacity=1)
    layers = alt.layer(
        lines.encode(x=x, y=y, color=colour, order="alpha:Q", tooltip=tip),
        text.encode(x=alt.X("x:Q", title=""), y=alt.Y("place:Q", title=""), text="method:N", color=colour),
        star.mark_point(shape="diamond", filled=True, size=130, color="#767676", opacity=1),
        star.mark_text(
            dy=15 if rises > 0 else -13, align="left", color="#767676", fontSize=12, fontWeight="bold"
        ).encode(text="method:N"),
        chosen.encode(x=x, y=y, color=colour, tooltip=tip),
    )
    table = [
        {"method": r["method"], "alpha": r["alpha"], "ID": _percent(r["ID"]), words: _percent(r["y"])}
        for r in rows
    ]
    alternative = f"From the zero-shot model to the fine-tuned one: {', '.join(names)}."
    return Chart(_spec(layers, 300), title, alternative, table)


def _gains(results: Results, sets: int) -> Chart:
    base = alt.Chart(alt.NamedData("gains")).encode(
        y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=150))
    )
    words = list(ROLE_WORDS.values())
    colour = alt.Color(
        "role:N",
        scale=alt.Scale(domain=words, range=list(_ROLES.values())),
        title=None,
        legend=alt.Legend(orient="top", columns=3),
    )
    tip = ["name:N", "role:N", alt.Tooltip("gain:Q", format="+.1f")]
    x = alt.X("gain:Q", title=f"Points of {results.headline.label} over zero-shot")
    bars = base.mark_bar(height={"band": 0.55}).encode(x=x, color=colour, tooltip=tip)
    intervals = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", title=""), x2="high:Q")
    text = "A bar for each test set, with the 95 % interval. The table below has the numbers."
    return Chart(
        _spec(alt.layer(bars, intervals), 24 * sets + 75), "Gain over zero-shot on each set", text, []
    )


def _at_level(results: Results, number: int, level: float) -> Chart | None:
    assert results.levels is not None
    colours = styles([row.method for row in results.rows])
    rows: Rows = [
        {"method": method, "seed": seed, "OOD": value, "mean": of.ood[number].mean}
        for method, of in results.levels.methods.items()
        for seed, value in zip(results.seeds, of.ood[number].each, strict=True)
        if value is not None
    ]
    if not rows:
        return None
    methods = list(dict.fromkeys(row["method"] for row in rows))
    colour = alt.Color(
        "method:N", scale=alt.Scale(domain=methods, range=[colours[m][0] for m in methods]), legend=None
    )
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("method:N", sort=methods, title=None, axis=alt.Axis(labelLimit=150)), color=colour
    )
    x = alt.X("OOD:Q", axis=alt.Axis(format=".1~%", tickCount=4), scale=alt.Scale(zero=False, padding=14))
    dots = base.mark_point(filled=True, size=55, opacity=0.75).encode(
        x=x.title("Out of distribution"), tooltip=["method:N", "seed:N", alt.Tooltip("OOD:Q", format=".1%")]
    )
    means = base.mark_tick(thickness=3, size=18).encode(x=alt.X("mean:Q", title=""))
    title = f"At ID {level:.1%}"
    text = "A dot for each method and seed, a bar at the mean."
    table = [{**row, "OOD": _percent(row["OOD"]), "mean": _percent(row["mean"])} for row in rows]
    return Chart(_spec(alt.layer(dots, means), 28 * len(methods) + 45), title, text, table)


def _training(logged: Sequence[Logged], results: Results) -> dict[str, Chart]:
    steps = {"loss": "Loss", "learning_rate": "Learning rate", "gradient_norm": "Gradient norm"}
    methods = [of.method for of in logged]
    found = {}
    for key, title in steps.items():
        rows = []
        for of in logged:
            every = -(-len(of.steps) // _STEPS)
            rows += [
                {"method": of.method, "step": number + 1, "value": step[key]}
                for number, step in enumerate(of.steps)
                if number % every == 0 and step.get(key) is not None
            ]
        if rows:
            found[f"training_{key}"] = _lines(rows, "step", title, methods, ".3~g")
    epochs = [
        {"method": of.method, "epoch": number + 1, "value": results.headline.score(epoch["id_val"])}
        for of in logged
        for number, epoch in enumerate(of.epochs)
    ]
    if epochs:
        title = f"ID validation, {results.headline.label}"
        found["training_id_val"] = _lines(epochs, "epoch", title, methods, ".1~%", points=True)
    return found


def _lines(
    rows: Rows, x: str, title: str, methods: Sequence[str], form: str, *, points: bool = False
) -> Chart:
    colours = styles(methods)
    scale = alt.Scale(domain=list(methods), range=[colours[method][0] for method in methods])
    legend = alt.Legend(orient="bottom", columns=3, title=None) if len(methods) > 1 else None
    last = max(row[x] for row in rows)
    axis = alt.Axis(format="d", values=list(range(1, last + 1, -(-last // 8))))
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=points, strokeWidth=1.6)
        .encode(
            x=alt.X(f"{x}:Q", axis=axis, title=x.capitalize(), scale=alt.Scale(nice=False, zero=False)),
            y=alt.Y(
                "value:Q", title=None, axis=alt.Axis(format=form, tickCount=5), scale=alt.Scale(zero=False)
            ),
            color=alt.Color("method:N", scale=scale, legend=legend),
            tooltip=["method:N", f"{x}:Q", alt.Tooltip("value:Q", format=".4~g")],
        )
    )
    ends = []
    for method in methods:
        values = [row["value"] for row in rows if row["method"] == method]
        if values:
            of = f"{method} from " if len(methods) > 1 else "From "
            ends.append(f"{of}{values[0]:.3g} at the start to {values[-1]:.3g} at the end")
    text = f"{'; '.join(ends)}."
    table = [{**row, "value": f"{row['value']:.4g}"} for row in rows] if len(rows) <= 60 else []
    return Chart(_spec(chart, 170), title, text, table)


def _of_details(details: Details) -> dict[str, Chart]:
    found = {}
    if details.reliability:
        found["reliability"] = _reliability(details.reliability)
    for number, model in enumerate(dict.fromkeys(row["model"] for row in details.confusion)):
        of_model = [row for row in details.confusion if row["model"] == model]
        found[f"confusion_{number + 1}"] = _confusion(of_model, model)
    if details.classes:
        found["classes"] = _classes(details.classes, details.score)
    for direction in dict.fromkeys(row["direction"] for row in details.recalls):
        of_direction = [row for row in details.recalls if row["direction"] == direction]
        for words in dict.fromkeys(row["sets"] for row in of_direction):
            rows = [row for row in of_direction if row["sets"] == words]
            name = f"recall_{direction}_{words}".replace(" ", "_")
            found[name] = _recalls(rows, f"{direction[:1].upper()}{direction[1:]}, {words}")
    return found


def _reliability(rows: Rows) -> Chart:
    models = list(dict.fromkeys(row["model"] for row in rows))
    scale = alt.Scale(domain=models, range=[_BEFORE, _AFTER])
    colour = alt.Color("model:N", scale=scale, legend=alt.Legend(orient="top", title=None))
    ends = alt.Data(values=[{"x": 0, "y": 0}, {"x": 1, "y": 1}])
    unit = alt.Scale(domain=[0, 1])
    ideal = (
        alt.Chart(ends)
        .mark_line(strokeDash=[4, 4], color="#767676", strokeWidth=1.2)
        .encode(x="x:Q", y="y:Q")
    )
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("confidence:Q", title="Confidence", axis=alt.Axis(format=".0%", tickCount=5), scale=unit),
        y=alt.Y("accuracy:Q", title="Accuracy", axis=alt.Axis(format=".0%", tickCount=5), scale=unit),
        color=colour,
        tooltip=[
            "model:N",
            alt.Tooltip("confidence:Q", format=".1%"),
            alt.Tooltip("accuracy:Q", format=".1%"),
            "images:Q",
        ],
    )
    size = alt.Size("images:Q", scale=alt.Scale(range=[15, 220]), legend=None)
    chart = alt.layer(
        ideal, base.mark_line(strokeWidth=1.5), base.mark_point(filled=True, opacity=0.85).encode(size=size)
    )
    table = [
        {**row, "confidence": _percent(row["confidence"]), "accuracy": _percent(row["accuracy"])}
        for row in rows
    ]
    text = "Accuracy by confidence, in bins. On the dashed line a model is calibrated; larger dots hold more images."
    return Chart(_spec(chart, 300), "Reliability", text, table)


def _confusion(rows: Rows, model: str) -> Chart:
    names = list(dict.fromkeys(row["truth"] for row in rows))
    cells = [row for row in rows if row["images"]]
    axis = alt.Axis(labelLimit=80, labelFontSize=10)
    chart = (
        alt.Chart(alt.Data(values=cells))
        .mark_rect()
        .encode(
            x=alt.X("predicted:N", sort=names, scale=alt.Scale(domain=names), title="Predicted", axis=axis),
            y=alt.Y("truth:N", sort=names, scale=alt.Scale(domain=names), title="Truth", axis=axis),
            color=alt.Color(
                "share:Q",
                scale=alt.Scale(scheme="cividis", domain=[0, 1]),
                legend=alt.Legend(format=".0%", title=None, orient="top", gradientLength=160),
            ),
            tooltip=["truth:N", "predicted:N", "images:Q", alt.Tooltip("share:Q", format=".0%")],
        )
    )
    wrong = sorted(
        (row for row in cells if row["truth"] != row["predicted"]), key=lambda row: -row["images"]
    )[:20]
    table = [{key: row[key] for key in ("truth", "predicted", "images")} for row in wrong]
    text = f"The predictions of {model} for the images of each class, as shares of the class."
    return Chart(_spec(chart, 16 * len(names) + 145), f"Confusion of {model}", text, table)


def _classes(rows: Rows, score: str) -> Chart:
    shown = rows if len(rows) <= _BARS else [*rows[: _BARS // 2], *rows[-(_BARS // 2) :]]
    models = ["zero-shot", "now"]
    points = [
        {"name": row["name"], "model": model, "score": row[key]}
        for row in shown
        for model, key in zip(models, ("before", "after"), strict=True)
    ]
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=130, grid=True))
    x = alt.X(
        "score:Q", title=score, axis=alt.Axis(format=".0%", tickCount=5), scale=alt.Scale(domain=[0, 1])
    )
    colour = alt.Color(
        "model:N",
        scale=alt.Scale(domain=models, range=[_BEFORE, _AFTER]),
        legend=alt.Legend(orient="top", title=None),
    )
    moves = alt.Chart(alt.Data(values=shown)).mark_rule(strokeWidth=2.5, color="#767676")
    dots = alt.Chart(alt.Data(values=points)).mark_point(filled=True, size=75, opacity=1)
    tip = ["name:N", "model:N", alt.Tooltip("score:Q", format=".1%")]
    chart = alt.layer(
        moves.encode(y=y, x=alt.X("before:Q", title=""), x2="after:Q"),
        dots.encode(y=y, x=x, color=colour, tooltip=tip),
    )
    table = [
        {
            "class": row["name"],
            "before": _percent(row["before"]),
            "after": _percent(row["after"]),
            "gain": f"{100 * row['gain']:+.1f}",
        }
        for row in rows
    ]
    note = "" if shown is rows else f" The {_BARS // 2} first and last of {len(rows)} classes."
    text = f"Each class from zero-shot to now, the largest gain first.{note}"
    return Chart(_spec(chart, 18 * len(shown) + 75), f"{score} of each class", text, table)


def _recalls(rows: Rows, title: str) -> Chart:
    cutoffs = list(dict.fromkeys(row["cutoff"] for row in rows))
    scale = alt.Scale(domain=cutoffs, range=["#0072B2", "#E69F00", "#009E73"])
    last = max(row["alpha"] for row in rows)
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "alpha:Q",
            title="Alpha",
            scale=alt.Scale(domain=[0, 1.15 * last], nice=False),
            axis=alt.Axis(tickCount=5),
        ),
        y=alt.Y(
            "recall:Q", title="Recall", axis=alt.Axis(format=".1~%", tickCount=5), scale=alt.Scale(zero=False)
        ),
        color=alt.Color("cutoff:N", scale=scale, legend=None),
    )
    tip = ["cutoff:N", "alpha:Q", alt.Tooltip("recall:Q", format=".1%")]
    lines = base.mark_line(point=True, strokeWidth=1.8).encode(tooltip=tip)
    names = base.mark_text(align="left", dx=8, fontWeight="bold", fontSize=12).encode(text="cutoff:N")
    chart = alt.layer(lines, names.transform_filter(f"datum.alpha == {last}"))
    table = [
        {key: _percent(row[key]) if key == "recall" else row[key] for key in ("cutoff", "alpha", "recall")}
        for row in rows
    ]
    return Chart(_spec(chart, 220), title, "Recall at 1, 5 and 10 by alpha.", table)


def _moved_rows(moved: Sequence[Moved], tower: str) -> Rows:
    return [
        {
            "block": "other" if of.block is None else f"{of.block + 1}",
            "part": of.part,
            "moved": of.change / of.norm if of.norm else 0.0,
        }
        for of in moved
        if of.tower == tower
    ]


def _moved(rows: Rows, tower: str) -> Chart:
    colours = {"attention": "#0072B2", "ffn": "#E69F00", "other": "#009E73"}
    parts = [part for part in colours if any(row["part"] == part for row in rows)]
    scale = alt.Scale(domain=parts, range=[colours[part] for part in parts])
    blocks = list(dict.fromkeys(row["block"] for row in rows))
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("block:N", title="Block", sort=blocks, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("moved:Q", axis=alt.Axis(format=".1~%", tickCount=5), title="Relative change"),
            color=alt.Color("part:N", title=None, scale=scale, legend=alt.Legend(orient="top")),
            xOffset=alt.XOffset("part:N", sort=parts),
            tooltip=["block:N", "part:N", alt.Tooltip("moved:Q", format=".2%")],
        )
    )
    table = [{**row, "moved": f"{row['moved']:.2%}"} for row in rows]
    text = (
        f"The norm of the merged change of each part of the {tower} tower's blocks, relative to its weights."
    )
    return Chart(_spec(chart, 190), f"{tower.capitalize()} tower", text, table)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _spec(chart: Any, height: int) -> dict[str, Any]:
    fit = alt.AutoSizeParams(type="fit", contains="padding")
    whole = chart.properties(width="container", height=height, autosize=fit).configure_view(stroke=None)
    spec: dict[str, Any] = whole.configure(background="transparent").to_dict(validate=False)
    return spec
