//! What column names usually mean, in several languages.

/// The part a column plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    User,
    Item,
    Time,
    Request,
    Position,
    Propensity,
    Click,
    Purchase,
    Category,
    Price,
    Title,
    Event,
    /// An outcome we do not learn by ourselves, and no input either: it is not known when a list is made.
    Outcome,
}

/// Names of each part, the likelier first; as [`plain`] writes them.
const PARTS: &[(Part, &[&str])] = &[
    (
        Part::User,
        &[
            "user_id",
            "userid",
            "uid",
            "user",
            "customer_id",
            "customer",
            "visitor_id",
            "visitorid",
            "client_id",
            "member_id",
            "account_id",
            "buyer_id",
            "用户id",
            "用户",
            "用户编号",
            "会员id",
            "顾客id",
            "nutzer_id",
            "nutzer",
            "kunden_id",
            "kunde",
            "benutzer",
            "id_usuario",
            "usuario",
            "usuario_id",
            "cliente",
            "cliente_id",
            "utilisateur",
            "utilisateur_id",
            "id_client",
            "пользователь",
            "ユーザーid",
            "ユーザid",
        ],
    ),
    (
        Part::Item,
        &[
            "item_id",
            "itemid",
            "iid",
            "item",
            "product_id",
            "productid",
            "product",
            "sku_id",
            "sku",
            "goods_id",
            "article_id",
            "listing_id",
            "movie_id",
            "offer_id",
            "ad_id",
            "asin",
            "物品id",
            "商品id",
            "商品",
            "商品编号",
            "产品id",
            "artikel_id",
            "artikel",
            "artikelnummer",
            "produkt_id",
            "produkt",
            "id_producto",
            "producto_id",
            "producto",
            "produto_id",
            "produto",
            "produit_id",
            "produit",
            "article",
            "товар",
            "アイテムid",
        ],
    ),
    (
        Part::Time,
        &[
            "timestamp",
            "time",
            "event_time",
            "datetime",
            "ts",
            "time_stamp",
            "date_time",
            "request_time",
            "action_time",
            "created_at",
            "date",
            "时间戳",
            "时间",
            "日期",
            "zeitstempel",
            "zeitpunkt",
            "zeit",
            "datum",
            "fecha",
            "fecha_hora",
            "data_hora",
            "horodatage",
            "date_heure",
            "время",
            "дата",
            "日時",
            "時刻",
        ],
    ),
    (
        Part::Request,
        &[
            "request_id",
            "requestid",
            "req_id",
            "request",
            "search_id",
            "list_id",
            "impression_id",
            "page_view_id",
            "query_id",
            "请求id",
            "请求",
            "曝光id",
            "anfrage_id",
            "anfrage",
            "id_solicitud",
            "requete_id",
            "запрос",
        ],
    ),
    (
        Part::Position,
        &[
            "position",
            "pos",
            "rank",
            "slot",
            "位置",
            "排名",
            "platz",
            "rang",
            "posicion",
            "posição",
            "позиция",
            "順位",
        ],
    ),
    (Part::Propensity, &["propensity", "propensity_score", "logging_probability", "pscore"]),
    (
        Part::Click,
        &[
            "click",
            "clicked",
            "is_click",
            "is_clicked",
            "clk",
            "click_label",
            "label_click",
            "ctr_label",
            "clicks",
            "点击",
            "是否点击",
            "klick",
            "geklickt",
            "clic",
            "clique",
            "клик",
            "クリック",
        ],
    ),
    (
        Part::Purchase,
        &[
            "purchase",
            "purchased",
            "is_purchase",
            "buy",
            "bought",
            "is_buy",
            "order",
            "ordered",
            "conversion",
            "converted",
            "conversion_label",
            "label_purchase",
            "cvr_label",
            "购买",
            "是否购买",
            "下单",
            "成交",
            "转化",
            "kauf",
            "gekauft",
            "bestellt",
            "compra",
            "comprado",
            "achat",
            "achete",
            "покупка",
            "購入",
        ],
    ),
    (
        Part::Category,
        &[
            "category",
            "category_id",
            "categoryid",
            "cate_id",
            "cate",
            "cat_id",
            "cat",
            "category_code",
            "item_category",
            "product_category",
            "genre",
            "department",
            "类别",
            "类目",
            "品类",
            "分类",
            "种类",
            "kategorie",
            "categoria",
            "categoría",
            "catégorie",
            "categorie",
            "категория",
            "カテゴリ",
        ],
    ),
    (
        Part::Price,
        &[
            "price",
            "item_price",
            "product_price",
            "unit_price",
            "sale_price",
            "价格",
            "售价",
            "单价",
            "preis",
            "precio",
            "preco",
            "preço",
            "prix",
            "prezzo",
            "цена",
            "価格",
        ],
    ),
    (
        Part::Title,
        &[
            "title",
            "item_name",
            "product_name",
            "product_title",
            "item_title",
            "movie_title",
            "name",
            "标题",
            "名称",
            "商品名称",
            "titel",
            "titulo",
            "título",
            "titre",
            "название",
        ],
    ),
    (
        Part::Event,
        &[
            "event",
            "event_type",
            "action_type",
            "action",
            "behavior_type",
            "behavior",
            "behaviour",
            "event_name",
            "interaction_type",
            "行为",
            "行为类型",
            "事件",
            "ereignis",
            "evento",
            "événement",
            "событие",
        ],
    ),
    (
        Part::Outcome,
        &[
            "cart",
            "add_to_cart",
            "addtocart",
            "favorite",
            "favourite",
            "like",
            "liked",
            "share",
            "shared",
            "follow",
            "wishlist",
            "rating",
            "dwell_time",
            "watch_time",
            "revenue",
            "quantity",
            "returned",
            "refund",
            "加购",
            "收藏",
            "点赞",
            "评分",
            "评论",
            "warenkorb",
            "bewertung",
            "carrito",
            "panier",
        ],
    ),
];

/// A name in one spelling: lower case, words joined by `_`.
pub(super) fn plain(name: &str) -> String {
    let mut out = String::new();
    let mut lower = false;
    for c in name.trim().chars() {
        if !c.is_alphanumeric() {
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            lower = false;
            continue;
        }
        if c.is_uppercase() && lower {
            out.push('_');
        }
        lower = c.is_lowercase() || c.is_ascii_digit();
        out.extend(c.to_lowercase());
    }
    out.truncate(out.trim_end_matches('_').len());
    out
}

/// The column of `names` that plays `part`, by name: the likeliest name first.
pub(super) fn find(part: Part, names: &[String]) -> Option<usize> {
    let known = PARTS.iter().find(|(other, _)| *other == part)?.1;
    let plain: Vec<String> = names.iter().map(|name| plain(name)).collect();
    known.iter().find_map(|known| plain.iter().position(|name| name == known))
}

/// Whether a name is one of `part`'s.
pub(super) fn is(part: Part, name: &str) -> bool {
    find(part, &[name.to_string()]).is_some()
}

/// Whether a column of numbers is meant as names of things: `…_id`, `…code`, `zip`, `brand`.
pub(super) fn is_nominal(name: &str) -> bool {
    let name = plain(name);
    let words: Vec<&str> = name.split('_').collect();
    let last = words.last().copied().unwrap_or_default();
    matches!(last, "id" | "code" | "type" | "zip" | "zipcode" | "group" | "segment" | "class")
        || words.iter().any(|word| {
            matches!(
                *word,
                "brand" | "shop" | "seller" | "store" | "city" | "region" | "category" | "cate"
            )
        })
        || last.ends_with("id") && last.len() > 3 && !last.is_ascii()
        || is(Part::Category, &name)
}

/// The side a name speaks of.
pub(super) fn side(name: &str) -> Option<crate::schema::Side> {
    use crate::schema::Side::{Context, Item, User};
    const ITEM: &[&str] = &[
        "item",
        "product",
        "goods",
        "brand",
        "shop",
        "seller",
        "store",
        "manufacturer",
        "model",
        "colour",
        "color",
        "size",
        "launch",
        "genres",
        "tags",
        "品牌",
        "店铺",
        "商家",
        "型号",
        "颜色",
        "marke",
        "hersteller",
        "marca",
        "marque",
        "бренд",
        "ブランド",
    ];
    const USER: &[&str] = &[
        "user",
        "customer",
        "member",
        "buyer",
        "age",
        "gender",
        "sex",
        "occupation",
        "income",
        "birth",
        "年龄",
        "性别",
        "职业",
        "alter",
        "geschlecht",
        "edad",
        "sexo",
        "genero",
        "âge",
        "sexe",
        "возраст",
        "пол",
    ];
    const CONTEXT: &[&str] = &[
        "device",
        "platform",
        "os",
        "browser",
        "app",
        "page",
        "channel",
        "hour",
        "weekday",
        "query",
        "keyword",
        "network",
        "referrer",
        "referer",
        "scene",
        "filters",
        "session",
        "设备",
        "平台",
        "渠道",
        "页面",
        "小时",
        "gerät",
        "geraet",
        "kanal",
        "dispositivo",
        "canal",
        "appareil",
        "устройство",
    ];
    let plain = plain(name);
    let has = |words: &[&str]| {
        plain.split('_').any(|word| words.contains(&word)) || words.contains(&plain.as_str())
    };
    if is(Part::Price, name) || is(Part::Category, name) || is(Part::Title, name) || has(ITEM) {
        Some(Item)
    } else if has(USER) {
        Some(User)
    } else if has(CONTEXT) {
        Some(Context)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_meet() {
        for (name, expected) in [
            ("userId", "user_id"),
            ("User ID", "user_id"),
            ("USER-ID ", "user_id"),
            ("用户ID", "用户id"),
            ("isClick", "is_click"),
            ("__x__", "x"),
            ("price($)", "price"),
        ] {
            assert_eq!(plain(name), expected);
        }
    }

    #[test]
    fn every_name_is_in_its_own_spelling_and_means_one_thing() {
        let mut all: Vec<&str> = Vec::new();
        for (part, names) in PARTS {
            for name in *names {
                assert_eq!(plain(name), *name);
                assert!(is(*part, name));
                assert!(!all.contains(name), "{name} twice");
                all.push(name);
            }
        }
    }

    #[test]
    fn the_likelier_name_wins() {
        let names = ["date", "timestamp", "uid"].map(String::from);
        assert_eq!(find(Part::Time, &names), Some(1));
        assert_eq!(find(Part::User, &names), Some(2));
        assert_eq!(find(Part::Item, &names), None);
    }

    #[test]
    fn numbers_that_name_things() {
        for name in ["brand", "category_id", "zip_code", "shopId", "user_segment", "种类"] {
            assert!(is_nominal(name), "{name}");
        }
        for name in ["price", "age", "paid", "valid", "views"] {
            assert!(!is_nominal(name), "{name}");
        }
    }
}
