//! Looks through a condition before it is ever run: what it names, and how much work it can make.

use std::collections::BTreeSet;

use cel::{
    common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, LiteralValue, operators},
    parser::Expression,
};

use crate::parse::{DEEPEST, Malformed, Variables};

/// Loops inside each other.
const MOST_LOOPS: usize = 2;

const FUNCTIONS: [&str; 26] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
    operators::NOT_STRICTLY_FALSE,
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "int",
    "double",
    "string",
];

/// What a condition is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    variables: BTreeSet<String>,
    pub(crate) patterns: BTreeSet<String>,
    /// Fields and texts that are written out.
    words: BTreeSet<String>,
    /// Nodes outside loops, in loops, and in loops within loops.
    nodes: [u64; MOST_LOOPS + 1],
    /// How often something is added: each time a text can get longer.
    additions: u64,
    /// Elements of the longest list that is written out.
    longest_list: u64,
}

impl Shape {
    pub(crate) fn names(&self, variable: &str) -> bool {
        self.variables.contains(variable)
    }

    pub(crate) fn says(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// Bytes that are touched at most, over an answer of so many bytes whose lists have so many elements.
    pub(crate) fn work(&self, bytes: u64, elements: u64) -> u64 {
        let elements = elements.max(self.longest_list);
        let mut visits: u64 = 0;
        for nodes in self.nodes.iter().rev() {
            visits = visits.saturating_mul(elements).saturating_add(*nodes);
        }
        visits.saturating_mul(bytes.max(64)).saturating_mul(self.additions.saturating_add(1))
    }
}

/// A part of a condition, and where it stands.
#[derive(Clone)]
struct Place<'a> {
    expression: &'a Expression,
    depth: usize,
    loops: Vec<&'a ComprehensionExpr>,
    /// Of the loop that just ended, whose result this is.
    result_of: Option<&'a ComprehensionExpr>,
}
impl<'a> Place<'a> {
    fn below(&self, expression: &'a Expression) -> Self {
        Self { expression, depth: self.depth.saturating_add(1), ..self.clone() }
    }
    fn inside(&self, expression: &'a Expression, comprehension: &'a ComprehensionExpr) -> Self {
        let mut place = self.below(expression);
        place.loops.push(comprehension);
        place
    }
    /// Whether the name is one that a loop gives.
    fn gives(&self, name: &str) -> bool {
        self.loops.iter().any(|l| l.iter_var == name || l.accu_var == name)
            || self.result_of.is_some_and(|l| l.accu_var == name)
    }
}

/// Without recursion: the text decides how deep it goes.
pub(crate) fn at(expression: &Expression, variables: Variables) -> Result<Shape, Malformed> {
    let mut shape = Shape::default();
    let mut open = vec![Place { expression, depth: 1, loops: Vec::new(), result_of: None }];
    while let Some(place) = open.pop() {
        if place.depth > DEEPEST {
            return Err(Malformed::TooDeep);
        }
        let nodes = shape.nodes.get_mut(place.loops.len()).ok_or(Malformed::TooManyLoops)?;
        *nodes = nodes.saturating_add(1);
        match &place.expression.expr {
            Expr::Ident(name) if place.gives(name) => {}
            Expr::Ident(name) if variables.names().contains(&name.as_str()) => {
                shape.variables.insert(name.clone());
            }
            Expr::Ident(name) => {
                let known = variables.names().join(", ");
                return Err(Malformed::UnknownVariable { name: name.clone(), known });
            }
            Expr::Call(call) if call.func_name == "matches" => {
                let (Some(pattern), true) = (call.args.last(), call.args.len() <= 2) else {
                    return Err(Malformed::HiddenPattern);
                };
                let Expr::Literal(LiteralValue::String(text)) = &pattern.expr else {
                    return Err(Malformed::HiddenPattern);
                };
                shape.patterns.insert(text.inner().to_owned());
                open.extend(call.target.as_deref().into_iter().chain(&call.args).map(|e| place.below(e)));
            }
            Expr::Call(call) => {
                if !FUNCTIONS.contains(&call.func_name.as_str()) {
                    return Err(Malformed::UnknownFunction(call.func_name.chars().take(64).collect()));
                }
                if call.func_name == operators::ADD && !keeps_an_element(&call.args, &place)? {
                    shape.additions = shape.additions.saturating_add(1);
                }
                open.extend(call.target.as_deref().into_iter().chain(&call.args).map(|e| place.below(e)));
            }
            Expr::Comprehension(comprehension) => {
                let c = comprehension.as_ref();
                open.push(place.below(&c.iter_range));
                open.push(place.below(&c.accu_init));
                open.push(place.inside(&c.loop_cond, c));
                open.push(place.inside(&c.loop_step, c));
                open.push(Place { result_of: Some(c), ..place.below(&c.result) });
            }
            Expr::Select(select) => {
                shape.words.insert(select.field.clone());
                open.push(place.below(&select.operand));
            }
            Expr::List(list) => {
                shape.longest_list = shape.longest_list.max(u64::try_from(list.elements.len()).unwrap_or(u64::MAX));
                open.extend(list.elements.iter().map(|e| place.below(e)));
            }
            Expr::Map(map) => {
                shape.longest_list = shape.longest_list.max(u64::try_from(map.entries.len()).unwrap_or(u64::MAX));
                open.extend(map.entries.iter().flat_map(key_and_value).map(|e| place.below(e)));
            }
            Expr::Literal(LiteralValue::String(text)) => {
                shape.words.insert(text.inner().to_owned());
            }
            Expr::Literal(_) => {}
            Expr::Struct(_) | Expr::Unspecified => return Err(Malformed::MessageType),
        }
    }
    Ok(shape)
}

fn key_and_value(entry: &IdedEntryExpr) -> Vec<&Expression> {
    match &entry.expr {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}

/// Whether this addition is the one in which `filter` keeps an element. That of `map` puts something else in its
/// place, which could be twice as long, and so on through every `map` of a chain.
fn keeps_an_element(operands: &[Expression], place: &Place<'_>) -> Result<bool, Malformed> {
    let (Some(inner), [first, second]) = (place.loops.last(), operands) else { return Ok(false) };
    if !matches!(&first.expr, Expr::Ident(name) if *name == inner.accu_var) {
        return Ok(false);
    }
    let kept = match &second.expr {
        Expr::List(list) => match list.elements.as_slice() {
            [element] => matches!(&element.expr, Expr::Ident(name) if *name == inner.iter_var),
            _ => false,
        },
        // `exists_one` counts.
        Expr::Literal(LiteralValue::Int(_)) => true,
        Expr::Literal(_)
        | Expr::Unspecified
        | Expr::Call(_)
        | Expr::Comprehension(_)
        | Expr::Ident(_)
        | Expr::Map(_)
        | Expr::Select(_)
        | Expr::Struct(_) => false,
    };
    if kept { Ok(true) } else { Err(Malformed::Map) }
}
