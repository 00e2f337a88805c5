# %% [markdown]
# # The first ten minutes of a researcher
#
# Is PaDiM better than PatchCore on this product, and do these images suffice to say so?
#
# This is a notebook in the percent format: VS Code opens it as it is, JupyterLab with jupytext, and
# `python examples/researcher.py` runs it.

# %% [markdown]
# ## Data
#
# `adframe.MVTecAD("data/mvtec_ad", category="screw")` reads MVTec AD in the same way.

# %%
from pathlib import Path

import adframe
from adframe.toy.layouts import write_toy

SIZE = {"image_size": 128, "train": 20, "validation": 2, "test_good": 8, "test_bad": 8}
write_toy(Path("toy_tray"), categories=("tray",), **SIZE)
data = adframe.MVTecAD("toy_tray", category="tray", image_size=128)

# %% [markdown]
# ## Two methods on the same images

# %%
patchcore = adframe.fit(adframe.PatchCore("efficientnet_lite0", coreset=0.1), data, run="runs/patchcore")
padim = adframe.fit(adframe.PaDiM("efficientnet_lite0"), data, run="runs/padim")

# %% [markdown]
# ## Compare
#
# Differences are of the same images; p values are corrected for the number of comparisons.

# %%
for one in adframe.compare(patchcore, padim):
    verdict = "significant" if one.significant else "no significant difference"
    print(f"{one.metric}: {one.difference.value:+.3f}, {verdict}")

# %% [markdown]
# ## A table for the paper
#
# Finished runs are one table of pandas. A sweep (`python sweep.py`) writes its tables as LaTeX by itself.

# %%
frame = adframe.load_results([Path("runs/patchcore"), Path("runs/padim")]).frame
columns = ["model", "metric", "value", "low", "high"]
print(frame.loc[frame["metric"].isin(["image/auroc", "pixel/aupro_0.3"]), columns].to_string(index=False))
