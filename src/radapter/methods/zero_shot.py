"""The model as it came: nothing is trained.

Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021.
"""

from radapter.methods.method import Method

METHOD = Method(
    name="zero-shot",
    summary="nothing; class embeddings averaged over templates",
    source="Radford et al. 2021",
    losses=(),
    learning_rate=0.0,
    rate_source="nothing is trained",
    alpha=0.0,
    build=None,
    runs="zero-shot",
    towers=(),
)
