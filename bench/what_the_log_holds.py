"""How well anybody could do from the log of a simulated shop: the true model of the shop, fitted to the log.

    daogou simulate --users 5000 --items 3000 --requests 200000 --seed 1 --out shop
    pip install numpy scipy pandas pyarrow torch
    python bench/what_the_log_holds.py shop                       # fits 90 % of the log in time, predicts the rest
    python bench/what_the_log_holds.py shop --fit 0.95 --test 0.95
    python bench/what_the_log_holds.py shop --answers answers.parquet
    python bench/what_is_missed.py tell shop answers.parquet

Every constant, form and prior is the simulator's own (crates/daogou/src/simulate); unknown are only the hidden numbers: of a
person 12 for taste, 30 for brands, 4 for specifications, income, price sensitivity, novelty; of an item quality and
popularity; of a session what is wanted. All but the last two become standard normals,

    taste = Gamma quantile(Phi(x)), normalised;  income = .5 age - .25 city + .6 x;  budget = .35 income;  ...
    click = position^-1/2 sigmoid(a),  a = -2.75 + .85 (liking + .9 [category wanted]) + .45 brand + .6 price
            + .3 quality + .7 novelty (obscurity - 1/2 +- 1/4) + .25 specifications - .22 satiation - .3 fatigue

and get independent normal posteriors that maximise the evidence bound. What a session wants is summed out exactly, along the
sessions of a person. Popularity comes from how often an item was shown. The answers are means over draws from the posterior;
what a session wants is told by requests before, and by the one item being shown, not by the list around it. Fitted are

    clicks      all clicks
    both        clicks, and purchases after clicks
    all         these and which items were shown: the shop shows what people like. A list is taken as independent draws
                with weights exposure_j(wanted) exp(pull_j .55 a_uj); exposure and pull are those of a typical person
    purchases   purchases alone

Propensities are not used. Those of a list tell the ratios of exp(.55 a) fame^.6 of its items exactly: a log with them holds
nearly everything, because this shop, unlike any other, shows by what people truly like.
"""

import argparse
import time

import numpy as np
import pandas as pd
import torch
from scipy.special import gammaincinv, ndtr
from torch.nn.functional import embedding

from what_is_missed import expected_auc

CATEGORIES = ["flagship", "mid", "budget", "foldable", "gaming", "case", "charger", "earphone", "watch", "tablet", "film",
              "refurbished"]
SHARES = np.array([0.16, 0.15, 0.14, 0.05, 0.06, 0.12, 0.09, 0.08, 0.06, 0.04, 0.03, 0.02])
PRICES = np.array([5200, 2600, 1200, 8000, 3600, 60, 110, 300, 900, 2600, 30, 1500.0])
PHONE = np.isin(np.arange(12), [0, 1, 2, 3, 4, 11])
ACCESSORY = np.isin(np.arange(12), [5, 6, 7, 10])
AGES = ["18-24", "25-30", "31-36", "37-45", "46-55", "56+"]
SPECS = ["spec_screen", "spec_camera", "spec_battery", "spec_speed"]
C, K, DAY, LATENTS = 12, 10, 86_400, 49
CLICK_BOOST, PURCHASE_BOOST, PULL = 0.85 * 0.9, 0.35 * 0.9, 0.55


def tensor(values, kind=torch.float32):
    return torch.as_tensor(np.ascontiguousarray(values), dtype=kind)


class Shop:
    """The log, with everything that follows from it without doubt."""

    def __init__(self, folder):
        items = pd.read_parquet(f"{folder}/items.parquet")
        users = pd.read_parquet(f"{folder}/users.parquet")
        log = pd.read_parquet(f"{folder}/impressions.parquet", columns=["request_id", "user_id", "item_id", "time", "position",
            "promo", "entry_category", "click", "purchase", "purchase_time", "random_slice"])
        self.n, self.people = len(items), len(users)
        code = {name: c for c, name in enumerate(CATEGORIES)}
        seconds = lambda column: column.dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
        self.category = items.category.map(code).to_numpy()
        brands = {name: b for b, name in enumerate(sorted(items.brand.unique()))}
        self.brand = items.brand.map(brands).to_numpy()
        self.deviation = np.log(items.price.to_numpy() / PRICES[self.category])
        self.specs = items[SPECS].to_numpy()
        self.launch = seconds(items.launch_date)
        self.older = users.age.map({age: a for a, age in enumerate(AGES)}).to_numpy() - 2.5
        self.tier = users.city_tier.to_numpy() - 1.0
        self.owned = users.owned_brand.map(brands).fillna(30).to_numpy().astype(int)
        self.bucket = users.budget.to_numpy()

        self.user = log.user_id.str[1:].astype(int).to_numpy()
        self.item = log.item_id.str[1:].astype(int).to_numpy()
        self.time, self.bought = seconds(log.time), seconds(log.purchase_time)
        self.bought[log.purchase_time.isna().to_numpy()] = -(1 << 60)
        self.position, self.promo = log.position.to_numpy(), log.promo.to_numpy()
        self.click, self.purchase = log.click.to_numpy(), log.purchase.to_numpy()
        self.random = log.random_slice.to_numpy() == 1
        self.request = log.request_id.to_numpy()
        entry = log.entry_category.map(code).to_numpy()
        c = self.category[self.item]
        count = lambda *keys: pd.Series(0, index=range(len(log))).groupby(list(keys)).cumcount().to_numpy()
        self.satiation = count(self.request, c)
        self.unseen = count(self.user, self.item) == 0

        # Requests: a person's sessions stand at least half an hour apart, requests of one hardly ever do.
        first = np.flatnonzero(self.position == 1)
        self.of_request = np.searchsorted(first, np.arange(len(log)), side="right") - 1
        r = pd.DataFrame({"user": self.user[first], "time": self.time[first], "entry": entry[first]})
        late = r.groupby("user").time.diff()
        r["new"] = (late.isna() | (late >= 1800)).to_numpy()
        # Numbered by their first requests.
        r["session"] = pd.factorize(r.groupby("user").new.cumsum() + r.user * 1_000_000)[0]
        self.fatigue = count(r.session.to_numpy()[self.of_request], self.item)
        # The last telephone bought in a request before, even where it is bought in days to come.
        phone = np.where(PHONE[c], self.bought, -(1 << 60)).reshape(-1, K).max(axis=1)
        r["phone"] = phone
        before = r.groupby("user").phone.cummax().groupby(r.user).shift(fill_value=-(1 << 60))
        r["follow"] = (before <= r.time) & (r.time < before + 14 * DAY)
        self.requests = r


class Rows:
    """Rows of the log as tensors."""

    def __init__(self, shop, which, obscurity):
        user, item = shop.user[which], shop.item[which]
        self.user, self.item = tensor(user, torch.int64), tensor(item, torch.int64)
        self.category = tensor(shop.category[item], torch.int64)
        self.liking, self.brand = self.user * C + self.category, self.user * 31 + tensor(shop.brand[item], torch.int64)
        self.deviation, self.specs = tensor(shop.deviation[item]), tensor(shop.specs[item].T)
        self.novelty = tensor(obscurity[item] - 0.5 + np.where(shop.unseen[which], 0.25, -0.25))
        self.tired = tensor(-0.22 * shop.satiation[which] - 0.3 * shop.fatigue[which])
        self.above = tensor(0.22 * shop.satiation[which])
        self.examined, self.promo = tensor(shop.position[which] ** -0.5), tensor(0.35 * shop.promo[which])
        self.click, self.bought = tensor(shop.click[which]), tensor(shop.purchase[which])

    def clicks(self, a):
        """Log-likelihoods of what was clicked and what was not, where the category is not wanted and where it is."""
        k0, k1 = 1 - self.click, self.click - (1 - self.click) * self.examined
        return ((k0 + k1 * torch.sigmoid(a + boost)).log() for boost in (0.0, CLICK_BOOST))


class Chain:
    """Sessions or requests, person by person in order of time: what is wanted, summed out."""

    def __init__(self, shop, requests, by_session):
        r = requests.drop_duplicates("session") if by_session else requests
        step = r.groupby("user").cumcount().to_numpy()
        lengths = np.bincount(r.user, minlength=shop.people)
        rank = np.empty(shop.people, dtype=int)
        rank[np.argsort(-lengths, kind="stable")] = np.arange(shop.people)
        order = np.lexsort((rank[r.user], step))
        place = np.empty(len(r), dtype=int)
        place[order] = np.arange(len(r))
        # Where a request is found.
        self.of_request = place[requests.session] if by_session else place
        r = r.iloc[order]
        self.sizes = np.bincount(step).tolist()
        self.user = tensor(r.user, torch.int64)
        self.new = torch.ones(len(r), 1) if by_session else tensor(r.new)[:, None]
        entry = 0.3 / C + 0.7 * np.eye(C)[r.entry]
        self.entry = tensor(np.where(self.new.numpy() > 0, entry, 1.0))
        self.boost = tensor(np.where(r.follow.to_numpy()[:, None] & ACCESSORY, 3.0, 1.0))
        self.day = ((r.time - requests.time.min()) // DAY).to_numpy()
        self.length = len(r)

    def run(self, taste, evidence):
        """Log evidence, and the chances of each wish before each unit's own evidence."""
        wish = embedding(self.user, taste) * self.boost
        wish = wish / wish.sum(1, keepdim=True)
        top = evidence.detach().max(1, keepdim=True).values
        evidence = (evidence - top).exp()
        wishes, entries, odds, news = (x.split(self.sizes) for x in (wish, self.entry, evidence, self.new))
        total, before, now = [], [], wishes[0]
        for t, n in enumerate(self.sizes):
            prior = wishes[0] if t == 0 else torch.lerp(now[:n], 0.3 * now[:n] + 0.7 * wishes[t], news[t])
            prior = prior * entries[t]
            joint = prior * odds[t]
            norm = joint.sum(1, keepdim=True)
            now = joint / norm
            total.append(norm)
            before.append(prior)
        before = torch.cat(before)
        return torch.cat(total).log().sum() + top.sum(), before / before.sum(1, keepdim=True)


class People:
    """Hidden numbers of people, from standard normals."""

    GRID = np.linspace(-6, 6, 481)

    def __init__(self, shop):
        shapes = 6 * SHARES + 0.05
        self.gamma = tensor(np.log(np.maximum(gammaincinv(shapes[:, None], ndtr(self.GRID)), 1e-30)))
        self.income = tensor(0.5 * shop.older / 1.7 - 0.25 * (shop.tier - 1.5))
        self.older, self.bucket = tensor(shop.older), tensor(shop.bucket)
        self.owned = tensor(1.1 * np.eye(31)[shop.owned])

    def make(self, x):
        at = ((x[:, :C] + 6) * 40).clamp(0, 479.999)
        low = at.detach().floor().long()
        table = lambda i: self.gamma.T.gather(0, i)
        g = torch.lerp(table(low), table(low + 1), at - low)
        self.taste = torch.softmax(g, 1)
        self.liking = 0.45 * ((self.taste + 0.02) / (1 / C + 0.02)).log()
        self.brands = torch.cat([0.35 * x[:, 12:42], torch.zeros(len(x), 1)], 1) + self.owned
        self.weights = 0.35 * x[:, 42:46]
        income = self.income + 0.6 * x[:, 46]
        self.budget, self.sensitivity = 0.35 * income, (-0.35 * income + 0.3 * x[:, 47]).exp()
        self.novelty = (-0.12 * self.older + 0.8 * x[:, 48]).clamp(-2, 2)
        return self

    def guess(self):
        """Log-likelihood of the shop's guesses of budgets: intervals of a noisy look."""
        low = torch.where(self.bucket > 0, 0.15 * self.bucket - 0.675, -9.0)
        high = torch.where(self.bucket < 8, 0.15 * self.bucket - 0.525, 9.0)
        chance = torch.special.ndtr((high - self.budget) / 0.15) - torch.special.ndtr((low - self.budget) / 0.15)
        return chance.clamp_min(1e-12).log().sum()

    def parts(self, quality, rows):
        pick = lambda table, index: table.reshape(-1).index_select(0, index)
        over = (rows.deviation - pick(self.budget, rows.user)).relu()
        price = pick(self.sensitivity, rows.user) * over * (-2 * over - 0.25)
        specs = sum(pick(self.weights[:, s].contiguous(), rows.user) * rows.specs[s] for s in range(4))
        return (pick(self.liking, rows.liking), pick(self.brands, rows.brand), price, pick(quality, rows.item),
                pick(self.novelty, rows.user) * rows.novelty, specs)

    def click(self, quality, rows):
        liking, brand, price, good, novel, specs = self.parts(quality, rows)
        return -2.75 + 0.85 * liking + 0.45 * brand + 0.6 * price + 0.3 * good + 0.7 * novel + 0.25 * specs + rows.tired

    def purchase(self, quality, rows):
        liking, brand, price, good, novel, specs = self.parts(quality, rows)
        return -3.75 + 0.35 * liking + 0.55 * brand + 1.5 * price + 0.45 * good - 0.2 * novel + 0.8 * specs + rows.promo


class Exposure:
    """Popularity from how often items were shown, and how the choice of what to show tells of tastes."""

    def __init__(self, shop, until):
        self.shop = shop
        r = shop.requests[:until]
        rows = slice(0, until * K)
        counts = np.bincount(shop.item[rows], minlength=shop.n)
        self.days = np.arange((r.time.max() - r.time.min()) // DAY + 1)
        on_sale = 1 - np.searchsorted(r.time.to_numpy(), shop.launch) / len(r)
        chance = shop.random[rows].mean()
        c = shop.category
        one = np.eye(C)[c]
        # A typical person, and what wanting a category says of taste for it.
        draw = np.random.default_rng(1)
        taste = draw.dirichlet(6 * SHARES + 0.05, 20_000)
        liking = 0.85 * 0.45 * np.log((taste + 0.02) / (1 / C + 0.02))
        wanting = (taste * liking).mean(0) / taste.mean(0)
        others = ((1 - taste) * liking).mean(0) / (1 - taste).mean(0)
        wanted = taste.mean(0)[c]
        income = 0.85 * draw.standard_normal(500) * 0.8
        over = np.maximum(shop.deviation[:, None] - 0.35 * income, 0)
        price = (np.exp(-0.35 * income + 0.3 * draw.standard_normal(500)) * over * (-2 * over - 0.25)).mean(1)
        owners = np.bincount(shop.owned, minlength=31)[shop.brand] / shop.people
        self.typical = liking.mean(0)[c] + 0.6 * price + 0.45 * 1.1 * owners - 2.75
        looks = (shop.specs - 0.5 * shop.deviation[:, None]).sum(1)
        grid = np.linspace(-7, 4.5, 150)
        many, drawn, race = on_sale @ one, 60.0, 0.5
        quality = 0.3 * looks / 0.64 / (1 + 4 * 0.09 / 0.64)
        for _ in range(40):
            plain = self.typical - liking.mean(0)[c] + 0.3 * quality
            famous = np.exp(-drawn * np.exp(grid) / shop.n) * (1 - 20 / on_sale.sum())
            inside = 1 - (1 - np.minimum(48 / many[c], 0.98)[:, None]) * famous
            outside = np.broadcast_to(1 - famous, inside.shape)
            heat = lambda level: np.exp(0.6 * grid + PULL * (plain + level)[:, None])
            w = race * heat(wanting[c] + CLICK_BOOST), race * heat(others[c])
            shown = wanted[:, None] * inside * -np.expm1(-w[0]) + (1 - wanted)[:, None] * outside * -np.expm1(-w[1])
            fair = (wanted[:, None] * inside + (1 - wanted)[:, None] * outside) * K / 120
            mean = len(r) * on_sale[:, None] * ((1 - chance) * shown + chance * fair) + 1e-9
            bound = counts[:, None] * np.log(mean) - mean
            bound -= (grid + 0.845 - 0.5 * quality[:, None]) ** 2 / 2 / 1.44
            weight = np.exp(bound - bound.max(1, keepdims=True))
            weight /= weight.sum(1, keepdims=True)
            fame = weight @ grid
            blur = weight @ grid**2 - fame**2
            precision = 1 + 4 * 0.09 / 0.64 + 0.25 / (1.44 + blur)
            quality = (0.3 * looks / 0.64 + 0.5 * (fame + 0.845) / (1.44 + blur)) / precision
            self.quality, self.quality_sd = quality, precision**-0.5
            # Popularities sum to 1; as many are shown, and drawn by popularity, as the shop says.
            excess = np.log((weight @ np.exp(grid)).mean())
            race, drawn = race * np.exp(0.6 * excess), drawn * np.exp(excess)
            race *= (K / (on_sale @ (weight * shown).sum(1))) ** 0.8
            by_fame = -np.expm1(-drawn * np.exp(grid) / shop.n)
            drawn *= (52 / (on_sale @ (weight * by_fame).sum(1))) ** 0.8
        self.obscurity = 1 - (np.argsort(np.argsort(fame)) + 0.5) / shop.n
        at = lambda table: (weight * table).sum(1)
        w = race * heat(liking.mean(0)[c] + CLICK_BOOST), race * heat(liking.mean(0)[c])
        rate = at(inside * -np.expm1(-w[0])), at(outside * -np.expm1(-w[1]))
        damped = lambda x: x * np.exp(-x) / -np.expm1(-x)
        weights = wanted * rate[0], (1 - wanted) * rate[1]
        self.pull = PULL * (weights[0] * at(damped(w[0])) + weights[1] * at(damped(w[1]))) / sum(weights)
        self.told = np.log(rate[0] / rate[1])
        self.told_random = np.log(at(inside) / at(outside))
        # How the sum of weights grows as items are launched.
        sale = (shop.launch[:, None] <= r.time.min() + (self.days + 0.5) * DAY) + 0.0
        total = lambda of: (of * rate[1]) @ np.ones(shop.n) + (of * (rate[0] - rate[1])) @ one
        base = total(on_sale)
        self.growth = np.log(np.stack([total(sale[:, d]) for d in range(len(self.days))]) / base)
        self.sums = tensor(np.concatenate([one * (rate[1] * on_sale)[:, None], one * (rate[0] * on_sale)[:, None]], 1))
        # Liking is linear in numbers of a person: what a price does is so between 41 knots.
        low, high = shop.deviation.min(), shop.deviation.max()
        self.knots = tensor(np.linspace(low, high + 1e-6, 41))
        hats = np.maximum(1 - np.abs((shop.deviation[:, None] - low) / (high + 1e-6 - low) * 40 - np.arange(41)), 0)
        features = np.concatenate([0.85 * one, 0.45 * np.eye(31)[shop.brand], 0.25 * shop.specs,
            0.7 * (self.obscurity - 0.25)[:, None], 0.6 * hats, -(self.typical + 2.75)[:, None]], 1) * self.pull[:, None]
        kept = ~shop.random[rows]
        user, item = shop.user[rows][kept], shop.item[rows][kept]
        self.shown = tensor(np.stack([np.bincount(user, f[item], minlength=shop.people) for f in features.T], 1))
        self.times, self.features = tensor(np.bincount(item, minlength=shop.n)), tensor(features.T)

    def weigh(self, people, scale, level):
        """Log-likelihood of what was shown short of normalisers, and the normalisers by person and wish."""
        over = (self.knots - people.budget[:, None]).relu()
        price = people.sensitivity[:, None] * over * (-2 * over - 0.25)
        person = scale * torch.cat([people.liking, people.brands, people.weights, people.novelty[:, None], price,
            torch.ones_like(people.budget)[:, None]], 1)
        sums = (person @ self.features).exp() @ (self.sums * level.exp()[:, None])
        said = (self.shown * person).sum() + (self.times * level).sum()
        return said, (sums[:, :C].sum(1, keepdim=True) - sums[:, :C] + sums[:, C:]).log()

    def row(self, rows):
        """How much likelier items are to be shown where their category is wanted, logarithms."""
        item = self.shop.item[rows]
        return tensor(np.where(self.shop.random[rows], self.told_random[item], self.told[item]))

    def evidence(self, chain, rows, units):
        """What a list says of the wish, by unit, and how many rows of a unit were chosen by liking."""
        shop, told = self.shop, self.row(rows)
        index = units[shop.of_request[rows]]
        held = np.bincount(index * C + shop.category[shop.item[rows]], told, minlength=chain.length * C).reshape(-1, C)
        chosen = np.bincount(index, ~shop.random[rows], minlength=chain.length)[:, None]
        return tensor(held - chosen * self.growth[np.minimum(chain.day, len(self.growth) - 1)]), tensor(chosen)


class Fit:
    """Means and spreads of the hidden numbers, and the search for them."""

    def __init__(self, shop, until, seed):
        self.shop, self.until, self.people = shop, until, People(shop)
        torch.manual_seed(seed)
        self.exposure = Exposure(shop, until)
        train = np.arange(until * K)
        clicked = train[shop.click[train] == 1]
        self.rows, self.clicked = Rows(shop, train, self.exposure.obscurity), Rows(shop, clicked, self.exposure.obscurity)
        self.chain = Chain(shop, shop.requests[:until], by_session=True)
        self.lists, self.chosen = self.exposure.evidence(self.chain, train, self.chain.of_request)
        at = lambda rows: tensor(self.chain.of_request[shop.of_request[rows]] * C + shop.category[shop.item[rows]], torch.int64)
        self.cell, self.clicked_cell = at(train), at(clicked)
        self.start()

    def start(self):
        self.mean = torch.zeros(self.shop.people * LATENTS + self.shop.n, requires_grad=True)
        self.spread = torch.zeros_like(self.mean, requires_grad=True)
        self.scale, self.level = torch.ones(1, requires_grad=True), torch.zeros(self.shop.n, requires_grad=True)

    def draw(self, noise):
        x = self.mean + self.spread.exp() * noise
        people, items = x.split([self.shop.people * LATENTS, self.shop.n])
        quality = tensor(self.exposure.quality) + tensor(self.exposure.quality_sd) * items
        return self.people.make(people.view(-1, LATENTS)), quality

    def bound(self, clicks, purchases, lists):
        people, quality = self.draw(torch.randn_like(self.mean))
        likelihood, evidence = people.guess(), torch.zeros(self.chain.length * C)
        if clicks:
            low, high = self.rows.clicks(people.click(quality, self.rows))
            likelihood, evidence = likelihood + low.sum(), evidence.index_add(0, self.cell, high - low)
        if purchases:
            v, sign = people.purchase(quality, self.clicked), 2 * self.clicked.bought - 1
            low, high = (torch.nn.functional.logsigmoid(sign * (v + boost)) for boost in (0.0, PURCHASE_BOOST))
            likelihood, evidence = likelihood + low.sum(), evidence.index_add(0, self.clicked_cell, high - low)
        evidence = evidence.view(-1, C)
        if lists:
            said, norms = self.exposure.weigh(people, self.scale, self.level)
            evidence = evidence + self.lists - self.chosen * embedding(self.chain.user, norms)
            likelihood = likelihood + said - (self.level**2).sum() / 2 / 0.2**2
        wanted, _ = self.chain.run(people.taste, evidence)
        apart = 0.5 * (self.mean**2 + (2 * self.spread).exp() - 1) - self.spread
        return likelihood + wanted - apart.sum()

    def search(self, what, steps, rate):
        adam = torch.optim.Adam([{"params": [self.mean, self.spread]}, {"params": [self.scale, self.level], "lr": rate / 5}],
            lr=rate, betas=(0.9, 0.99))
        plan = torch.optim.lr_scheduler.LambdaLR(adam, lambda t: 0.02 + 0.98 * (0.5 + 0.5 * np.cos(np.pi * t / steps)))
        bounds = []
        for _ in range(steps):
            adam.zero_grad()
            loss = -self.bound(**what)
            loss.backward()
            adam.step()
            plan.step()
            bounds.append(-loss.item())
        tenth = max(1, steps // 10)
        return [float(np.mean(bounds[t : t + tenth])) for t in range(0, steps, tenth)]

    @torch.no_grad()
    def answer(self, test, clicks, lists, draws, own_list=False):
        """Mean P(relevant), P(purchase | click), and of both, of the rows from request `test` on."""
        shop, everything = self.shop, np.arange(len(self.shop.item))
        rows = Rows(shop, everything, self.exposure.obscurity)
        chain = Chain(shop, shop.requests, by_session=False)
        held, chosen = self.exposure.evidence(chain, everything, chain.of_request)
        unit = tensor(chain.of_request[shop.of_request], torch.int64)
        cell = unit * C + rows.category
        last = slice(test * K, None)
        some = Rows(shop, everything[last], self.exposure.obscurity)
        sums = torch.zeros(4, len(some.user))
        shows = (-self.exposure.row(everything[last])).exp()
        for draw in range(draws):
            # In pairs that err in opposite directions.
            noise = torch.randn_like(self.mean) if draw % 2 == 0 else -noise
            people, quality = self.draw(noise)
            a = people.click(quality, rows)
            evidence = torch.zeros(chain.length * C)
            if clicks:
                low, high = rows.clicks(a)
                evidence.index_add_(0, cell, high - low)
            evidence = evidence.view(-1, C)
            if lists:
                _, norms = self.exposure.weigh(people, self.scale, self.level)
                told = held - chosen * embedding(chain.user, norms)
                evidence = evidence + told
            _, before = chain.run(people.taste, evidence)
            if own_list:
                before = before * (told - told.max(1, keepdim=True).values).exp()
                before = before / before.sum(1, keepdim=True)
            wanted = before.view(-1).index_select(0, cell[last])
            if not own_list:
                # That the item itself is shown tells of the wish, too, as any model learns that sees shown items only.
                wanted = 1 / (1 + (1 / wanted - 1) * shows)
            v = people.purchase(quality, some)
            mix = lambda f: (1 - wanted) * f(0.0, 0.0) + wanted * f(CLICK_BOOST, PURCHASE_BOOST)
            sums[0] += mix(lambda x, y: torch.sigmoid(a[last] + x))
            sums[1] += mix(lambda x, y: torch.sigmoid(v + y))
            sums[2] += mix(lambda x, y: torch.sigmoid(a[last] + x) * torch.sigmoid(v + y))
            sums[3] += mix(lambda x, y: torch.sigmoid(a[last] + some.above + x))
        return (sums / draws).double().numpy()


VARIANTS = {
    "clicks": dict(clicks=True, purchases=False, lists=False),
    "both": dict(clicks=True, purchases=True, lists=False),
    "all": dict(clicks=True, purchases=True, lists=True),
    "purchases": dict(clicks=False, purchases=True, lists=False),
}


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("shop")
    options.add_argument("--fit", type=float, default=0.9, help="share of the log, in time, that is fitted")
    options.add_argument("--test", type=float, default=0.9, help="where the rows begin that are answered for")
    options.add_argument("--variants", default="clicks,both,all,purchases")
    options.add_argument("--steps", type=int, default=240)
    options.add_argument("--draws", type=int, default=24)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--answers", help="where to write P(click), position left out, of the last variant")
    given = options.parse_args()

    torch.set_flush_denormal(True)
    began = time.time()
    shop = Shop(given.shop)
    truth = pd.read_parquet(f"{given.shop}/oracle.parquet")
    until, test = int(given.fit * len(shop.requests)), int(given.test * len(shop.requests))
    truth = truth[test * K :].reset_index(drop=True)
    seen = truth.examination.to_numpy()
    true = [truth.p_click.to_numpy(), truth.p_purchase_given_click.to_numpy()]
    true.append(true[0] * true[1])
    closed = lambda score, p: 100 * (expected_auc(score, p) - 0.5) / (expected_auc(p, p) - 0.5)
    novelty = pd.read_parquet(f"{given.shop}/oracle_users.parquet").novelty
    fit = Fit(shop, until, given.seed)
    print(f"{until * K} impressions fitted, {len(truth)} answered for; read in {time.time() - began:.0f} s")
    print(f"{'gap closed, %':22}{'click':>8}{'buy|click':>11}{'both':>8}{'seconds':>9}")

    def tell(name, p, seconds=0):
        gaps = [closed(seen * p[0], true[0]), closed(p[1], true[1]), closed(seen * p[2], true[2])]
        print(f"{name:22}{gaps[0]:8.1f}{gaps[1]:11.1f}{gaps[2]:8.1f}{seconds:9.0f}", flush=True)

    tell("the truth", [true[0] / seen, true[1], true[2] / seen])
    tell("tables alone", fit.answer(test, False, False, given.draws))
    fresh, notes = True, []
    for name in given.variants.split(","):
        began, what = time.time(), VARIANTS[name]
        # What more is told moves the numbers less than what was told first.
        if name == "purchases":
            fit.start()
            fresh = True
        bounds = fit.search(what, given.steps if fresh else given.steps // 2, 0.1 if fresh else 0.05)
        fresh = name == "purchases"
        p = fit.answer(test, what["clicks"], what["lists"], given.draws)
        tell(name, p, time.time() - began)
        if what["clicks"]:
            tell("  items above unknown", [p[3], p[1], p[3] * p[1]])
        if what["lists"]:
            own = fit.answer(test, True, True, given.draws, own_list=True)
            tell("  own list known", own)
        found = fit.people.make(fit.mean.detach()[: shop.people * LATENTS].view(-1, LATENTS)).novelty.numpy()
        rising = " ".join(f"{bound:.0f}" for bound in bounds[:: max(1, len(bounds) // 5)] + bounds[-1:])
        notes.append(f"{name}: bound {rising}; novelty found {np.corrcoef(found, novelty)[0, 1]:.2f} (correlation)")
        if what["lists"]:
            notes.append(f"{name}: choice of items follows liking {fit.scale.item():.2f} times as modelled")
        checks = [("click", p[0], true[0]), ("both", p[2], true[2])]
        checks += [("click, own list known", own[0], true[0])] if what["lists"] else []
        for task, score, sure in checks:
            score = seen * score
            deciles = np.array_split(np.argsort(score), 10)
            ratios = " ".join(f"{sure[d].sum() / score[d].sum():.2f}" for d in deciles)
            notes.append(f"{name}: {task}, true over answered by decile: {ratios}")
    print(*notes, sep="\n")
    if given.answers:
        rows = slice(test * K, None)
        ids = pd.read_parquet(f"{given.shop}/impressions.parquet", columns=["request_id", "user_id", "item_id"])[rows]
        ids.assign(p_click=p[0]).to_parquet(given.answers, index=False)


if __name__ == "__main__":
    main()
