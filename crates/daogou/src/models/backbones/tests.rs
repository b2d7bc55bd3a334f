//! Parts and gates against their formulas, from the tables' own rows.

use daogou_nn::{Graph, Micro, Model, NodeId, Parameters, Rng, Workspace};

use super::part;
use crate::data::{FeatureSpace, Field, FieldKind, TableShape};
use crate::models::Shape;
use crate::models::heads::Level;
use crate::models::inputs::{FieldNode, Inputs};
use crate::schema::{Backbone, Config, FieldGate, ModelKind, Side};

const DIM: usize = 4;
/// Request of each impression.
const REQUEST: [u32; 5] = [0, 0, 0, 1, 1];
/// Fields: two of the request, three of the item, the last two not of the common width.
const NAMES: [&str; 5] = ["user", "hour", "item", "brand", "price"];

struct Net {
    model: Model,
    parameters: Parameters,
    micro: Micro,
    workspace: Workspace,
    fields: Vec<FieldNode>,
    part: Option<NodeId>,
}

impl Net {
    fn new(config: &Config) -> Self {
        let table = |name: &str, rows, dim| TableShape { name: name.into(), rows, dim };
        let tables = vec![
            table("user", 3, DIM),
            table("hour", 25, DIM),
            table("item", 6, DIM),
            table("brand", 5, 6),
        ];
        let sides = [Side::User, Side::Context, Side::Item, Side::Item, Side::Item];
        let field = |(index, (name, side)): (usize, (&str, Side))| Field {
            name: name.into(),
            side,
            kind: if index < 4 { FieldKind::Id { table: index } } else { FieldKind::Number },
            column: 0,
        };
        let space = FeatureSpace {
            fields: NAMES.into_iter().zip(sides).enumerate().map(field).collect(),
            tables,
            ..FeatureSpace::default()
        };
        let mut g = Graph::new();
        let mut inputs = Inputs::new(&mut g, &space, &Shape::default());
        let fields = inputs.fields(&mut g, config, &space, String::new(), true);
        let part = part(&mut g, &inputs, &fields, config);
        let model = g.finish();
        let mut parameters = Parameters::new(&model, 3);
        let mut rng = Rng::new(8, 0);
        parameters.edit(|dense, tables| {
            dense.iter_mut().for_each(|v| *v += 0.2 * rng.normal() as f32);
            for table in tables {
                table.values_mut().iter_mut().for_each(|v| *v = rng.normal() as f32);
            }
        });
        let mut micro = Micro::new(&model);
        let flat = config.model.kind == ModelKind::SharedMlp;
        micro.rows.copy_from_slice(&[2, REQUEST.len()]);
        micro.maps[0].extend(REQUEST);
        for (site, of_request) in [[1, 2], [7, 20]].into_iter().enumerate() {
            if flat {
                micro.ids[site].extend(REQUEST.map(|r| of_request[r as usize]));
            } else {
                micro.ids[site].extend(of_request);
            }
        }
        micro.ids[2].extend([1, 5, 0, 3, 3]);
        micro.ids[3].extend([4, 4, 1, 0, 2]);
        micro.inputs[0].extend([0.3, -1.0, 2.0, 0.1, -0.4]);
        let mut workspace = Workspace::new(&model);
        model.forward(&parameters, &micro, &mut workspace);
        Self { model, parameters, micro, workspace, fields: fields.nodes, part }
    }

    /// Each field of an impression, as it is before any gate.
    fn raw(&self, impression: usize) -> Vec<Vec<f64>> {
        let id = |site: usize| {
            let ids = &self.micro.ids[site];
            let of_request = ids.len() < REQUEST.len();
            ids[if of_request { REQUEST[impression] as usize } else { impression }]
        };
        let row = |site: usize| self.parameters.tables()[site].row(id(site));
        let wide = |row: &[f32]| row.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let ids = (0..4).map(|site| wide(row(site)));
        ids.chain([wide(&self.micro.inputs[0][impression..=impression])]).collect()
    }

    /// `W x + b`.
    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let values = |kind: &str| {
            let mut params = self.model.params().iter();
            let param = params.find(|p| p.name == format!("{name}.{kind}"));
            let param = param.unwrap_or_else(|| panic!("no {name}.{kind}"));
            &self.parameters.dense()[param.range()]
        };
        let (weight, bias) = (values("weight"), values("bias"));
        let rows = weight.chunks_exact(x.len()).zip(bias);
        rows.map(|(w, b)| {
            let product: f64 = w.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum();
            product + f64::from(*b)
        })
        .collect()
    }

    fn row(&self, node: NodeId, row: usize) -> &[f32] {
        self.workspace.row(&self.model, node, row)
    }
}

fn config(change: impl Fn(&mut Config)) -> Config {
    let mut config = Config::default();
    config.model.embedding_dim = DIM;
    change(&mut config);
    config
}

const KINDS: [ModelKind; 2] = [ModelKind::SharedBottom, ModelKind::SharedMlp];

fn close(got: &[f32], wanted: &[f64]) {
    assert_eq!(got.len(), wanted.len());
    for (got, wanted) in got.iter().zip(wanted) {
        let error = (f64::from(*got) - wanted).abs();
        assert!(error < 2e-5 * (1.0 + wanted.abs()), "{got} and {wanted}");
    }
}

fn relu(x: Vec<f64>) -> Vec<f64> {
    x.into_iter().map(|x| x.max(0.0)).collect()
}

#[test]
fn a_factorisation_machine_multiplies_every_pair() {
    for kind in KINDS {
        let net = Net::new(&config(|c| (c.model.kind, c.model.backbone) = (kind, Backbone::Fm)));
        for i in 0..REQUEST.len() {
            let mut fields = net.raw(i);
            for index in [3, 4] {
                fields[index] = net.linear(&format!("field_{index}"), &fields[index]);
            }
            let mut pairs = vec![0.0; DIM];
            for f in 0..fields.len() {
                for other in 0..f {
                    for (d, sum) in pairs.iter_mut().enumerate() {
                        *sum += fields[f][d] * fields[other][d];
                    }
                }
            }
            close(net.row(net.part.unwrap(), i), &pairs);
        }
    }
}

#[test]
fn cross_layers_are_their_formula() {
    for (kind, rank) in [(KINDS[0], 0), (KINDS[0], 3), (KINDS[1], 0)] {
        let net = Net::new(&config(|c| {
            c.model.kind = kind;
            c.model.backbone = Backbone::Dcn;
            (c.model.cross_layers, c.model.cross_rank) = (3, rank);
        }));
        for i in 0..REQUEST.len() {
            let first = net.raw(i).concat();
            let mut x = first.clone();
            for layer in 0..3 {
                let name = format!("cross.{layer}");
                let product = if rank == 0 {
                    net.linear(&name, &x)
                } else {
                    net.linear(&format!("{name}.u"), &net.linear(&format!("{name}.v"), &x))
                };
                for (x, (first, product)) in x.iter_mut().zip(first.iter().zip(product)) {
                    *x += first * product;
                }
            }
            close(net.row(net.part.unwrap(), i), &x);
        }
    }
}

/// What each field of each impression is scaled by.
fn check_gates(gate: FieldGate, of: impl Fn(&Net, usize) -> Vec<Vec<f64>>) {
    for kind in KINDS {
        let net = Net::new(&config(|c| (c.model.kind, c.model.field_gate) = (kind, gate)));
        for i in 0..REQUEST.len() {
            let scaled = of(&net, i);
            for ((field, raw), gates) in net.fields.iter().zip(net.raw(i)).zip(scaled) {
                let wanted: Vec<f64> = raw.iter().zip(gates).map(|(x, gate)| x * gate).collect();
                let of_request = field.level == Level::Request;
                let row = if of_request { REQUEST[i] as usize } else { i };
                close(net.row(field.node, row), &wanted);
            }
        }
    }
}

#[test]
fn senet_scales_fields_by_what_they_are_on_average() {
    check_gates(FieldGate::Senet, |net, i| {
        let fields = net.raw(i);
        let mean = |field: &Vec<f64>| field.iter().sum::<f64>() / field.len() as f64;
        let z: Vec<f64> = fields.iter().map(mean).collect();
        let gates = |part: &str, z: &[f64]| {
            let hidden = relu(net.linear(&format!("field_gate.{part}.0"), z));
            relu(net.linear(&format!("field_gate.{part}.2"), &hidden))
        };
        let all = [gates("request", &z[..2]), gates("item", &z)].concat();
        all.iter().zip(&fields).map(|(gate, field)| vec![*gate; field.len()]).collect()
    });
}

#[test]
fn pepnet_scales_columns_by_whom_they_are_for() {
    check_gates(FieldGate::Pepnet, |net, i| {
        let fields = net.raw(i);
        let prior = fields[..2].concat();
        let gates = |part: &str, fields: &[Vec<f64>]| {
            let known = [prior.clone(), fields.concat()].concat();
            let hidden = relu(net.linear(&format!("field_gate.{part}.0"), &known));
            let gates = net.linear(&format!("field_gate.{part}.2"), &hidden);
            let mut gates = gates.into_iter().map(|z| 2.0 / (1.0 + (-z).exp()));
            let own = fields.iter().map(|field| gates.by_ref().take(field.len()).collect());
            own.collect::<Vec<Vec<f64>>>()
        };
        [gates("request", &fields[..2]), gates("item", &fields[2..])].concat()
    });
}
