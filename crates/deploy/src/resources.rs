//! What a container asks of a machine and may take at most: `cpu=500m,memory=1Gi,limits.memory=2Gi`.
//!
//! A bare name asks (a request). `limits.NAME` caps. Where no limit of memory is said, it is what was
//! asked for, so that no neighbour's need gets this container killed; processors are not capped,
//! because throttling costs more than it saves. Other resources, such as `nvidia.com/gpu`, are both at
//! once, as Kubernetes wants them.

use std::collections::BTreeMap;
use std::str::FromStr;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// A text that is no list of resources.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourcesError {
    /// An item without `=`.
    #[error("`{0}` is no NAME=QUANTITY")]
    NotAPair(String),
    /// A name that is no resource.
    #[error("`{0}` is no resource of a container")]
    UnknownResource(String),
    /// An amount that cannot be read.
    #[error("`{quantity}` is no amount of `{resource}`")]
    Quantity {
        /// The resource.
        resource: String,
        /// What was said.
        quantity: String,
    },
    /// Bytes in thousandths.
    #[error("`{quantity}` of `{resource}` means thousandths of a byte")]
    ThousandthsOfBytes {
        /// The resource.
        resource: String,
        /// What was said.
        quantity: String,
    },
    /// A resource that is said twice.
    #[error("`{0}` is said twice")]
    Twice(String),
    /// More is asked for than may be taken.
    #[error("the limit of `{resource}`, `{limit}`, is less than the request, `{request}`")]
    LimitBelowRequest {
        /// The resource.
        resource: String,
        /// What may be taken.
        limit: String,
        /// What is asked for.
        request: String,
    },
}

impl ResourcesError {
    /// What to write instead.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAPair(_) | Self::Twice(_) => {
                "write for instance `cpu=500m,memory=1Gi,limits.memory=2Gi`"
            }
            Self::UnknownResource(_) => {
                "there are `cpu`, `memory`, `ephemeral-storage`, and names with a domain such as \
                 `nvidia.com/gpu`, each alone or after `limits.`"
            }
            Self::Quantity { .. } => "write a number with a unit, such as `500m`, `2` or `512Mi`",
            Self::ThousandthsOfBytes { .. } => "for mebibytes write `Mi`, for megabytes `M`",
            Self::LimitBelowRequest { .. } => "raise the limit or ask for less",
        }
    }
}

/// Requests and limits by resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    requests: BTreeMap<String, String>,
    limits: BTreeMap<String, String>,
}

impl Default for Resources {
    /// Half a processor, and a gibibyte: room for a small model and 400 MiB of requests in flight.
    fn default() -> Self {
        let memory = || ("memory".to_owned(), "1Gi".to_owned());
        Self {
            requests: [("cpu".to_owned(), "500m".to_owned()), memory()].into(),
            limits: [memory()].into(),
        }
    }
}

impl Resources {
    /// As a container has them.
    pub fn requirements(&self) -> ResourceRequirements {
        let quantities = |map: &BTreeMap<String, String>| {
            let map = map.iter();
            (map.len() > 0).then(|| {
                map.map(|(name, quantity)| (name.clone(), Quantity(quantity.clone())))
                    .collect()
            })
        };
        ResourceRequirements {
            requests: quantities(&self.requests),
            limits: quantities(&self.limits),
            ..ResourceRequirements::default()
        }
    }

    /// Whether a share of a processor is asked for, which an autoscaler on processor use needs.
    pub fn asks_for_cpu(&self) -> bool {
        // A limit alone is a request as well.
        self.requests.contains_key("cpu") || self.limits.contains_key("cpu")
    }

    fn put(&mut self, name: &str, quantity: &str) -> Result<(), ResourcesError> {
        let (resource, is_limit) = match name.strip_prefix("limits.") {
            Some(resource) => (resource, true),
            None => (name.strip_prefix("requests.").unwrap_or(name), false),
        };
        if !is_resource(resource) {
            return Err(ResourcesError::UnknownResource(name.to_owned()));
        }
        check(resource, quantity)?;
        let map = if is_limit {
            &mut self.limits
        } else {
            &mut self.requests
        };
        match map.insert(resource.to_owned(), quantity.to_owned()) {
            Some(_) => Err(ResourcesError::Twice(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Adds what follows from what was said, and compares.
    fn complete(mut self) -> Result<Self, ResourcesError> {
        for (resource, request) in &self.requests {
            if resource == "memory" || resource.contains('/') {
                let said = self.limits.entry(resource.clone());
                said.or_insert_with(|| request.clone());
            }
        }
        for (resource, limit) in &self.limits {
            if resource.contains('/') {
                self.requests
                    .entry(resource.clone())
                    .or_insert_with(|| limit.clone());
            }
        }
        for (resource, request) in &self.requests {
            if let Some(limit) = self.limits.get(resource)
                && amount(limit) < amount(request)
            {
                return Err(ResourcesError::LimitBelowRequest {
                    resource: resource.clone(),
                    limit: limit.clone(),
                    request: request.clone(),
                });
            }
        }
        Ok(self)
    }
}

impl FromStr for Resources {
    type Err = ResourcesError;

    fn from_str(text: &str) -> Result<Self, ResourcesError> {
        let mut said = Self {
            requests: BTreeMap::new(),
            limits: BTreeMap::new(),
        };
        for item in text.split(',') {
            let (name, quantity) = item
                .split_once('=')
                .ok_or_else(|| ResourcesError::NotAPair(item.to_owned()))?;
            said.put(name.trim(), quantity.trim())?;
        }
        said.complete()
    }
}

fn is_resource(name: &str) -> bool {
    let is_word = |text: &str| {
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=63).contains(&text.len())
            && text.bytes().all(letters)
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.ends_with(|last: char| last.is_ascii_alphanumeric())
    };
    match name.split_once('/') {
        Some((domain, name)) => domain.contains('.') && is_word(domain) && is_word(name),
        None => ["cpu", "memory", "ephemeral-storage"].contains(&name),
    }
}

fn check(resource: &str, quantity: &str) -> Result<(), ResourcesError> {
    let error = || ResourcesError::Quantity {
        resource: resource.to_owned(),
        quantity: quantity.to_owned(),
    };
    if amount(quantity).is_none_or(|amount| !amount.is_finite() || amount <= 0.0) {
        return Err(error());
    }
    if resource != "cpu" && quantity.ends_with(['m', 'u', 'n']) {
        return Err(if resource.contains('/') {
            error()
        } else {
            ResourcesError::ThousandthsOfBytes {
                resource: resource.to_owned(),
                quantity: quantity.to_owned(),
            }
        });
    }
    if resource.contains('/') && amount(quantity).is_some_and(|amount| amount.fract() != 0.0) {
        return Err(error());
    }
    Ok(())
}

/// The value of a quantity of Kubernetes: a decimal number and a suffix. Exact enough to compare.
fn amount(quantity: &str) -> Option<f64> {
    let digits = quantity
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at(digits);
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 2f64.powi(10),
        "Mi" => 2f64.powi(20),
        "Gi" => 2f64.powi(30),
        "Ti" => 2f64.powi(40),
        "Pi" => 2f64.powi(50),
        "Ei" => 2f64.powi(60),
        exponent => {
            let exponent = exponent.strip_prefix(['e', 'E'])?;
            10f64.powi(exponent.parse().ok()?)
        }
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        match text.parse::<Resources>() {
            Ok(resources) => format!("{:?} {:?}", resources.requests, resources.limits),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_asked_and_what_may_be_taken() {
        assert_eq!(
            said("cpu=500m,memory=512Mi"),
            r#"{"cpu": "500m", "memory": "512Mi"} {"memory": "512Mi"}"#
        );
        assert_eq!(
            said("cpu=1, memory=512Mi, limits.memory=1Gi, limits.cpu=2"),
            r#"{"cpu": "1", "memory": "512Mi"} {"cpu": "2", "memory": "1Gi"}"#
        );
        assert_eq!(
            said("requests.cpu=0.5,nvidia.com/gpu=1"),
            r#"{"cpu": "0.5", "nvidia.com/gpu": "1"} {"nvidia.com/gpu": "1"}"#
        );
        assert_eq!(
            said("limits.nvidia.com/gpu=1"),
            r#"{"nvidia.com/gpu": "1"} {"nvidia.com/gpu": "1"}"#
        );
        assert_eq!(
            said("memory=1e9,ephemeral-storage=1G"),
            r#"{"ephemeral-storage": "1G", "memory": "1e9"} {"memory": "1e9"}"#
        );
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (text, error) in [
            ("", "`` is no NAME=QUANTITY"),
            ("cpu", "`cpu` is no NAME=QUANTITY"),
            ("cpus=1", "`cpus` is no resource of a container"),
            ("cpu=1,cpu=2", "`cpu` is said twice"),
            ("cpu=", "`` is no amount of `cpu`"),
            ("cpu=0", "`0` is no amount of `cpu`"),
            ("cpu=-1", "`-1` is no amount of `cpu`"),
            ("cpu=1.2.3", "`1.2.3` is no amount of `cpu`"),
            ("cpu=1e400", "`1e400` is no amount of `cpu`"),
            ("memory=1GB", "`1GB` is no amount of `memory`"),
            (
                "memory=512m",
                "`512m` of `memory` means thousandths of a byte",
            ),
            (
                "nvidia.com/gpu=0.5",
                "`0.5` is no amount of `nvidia.com/gpu`",
            ),
            ("gpu=1", "`gpu` is no resource of a container"),
            (
                "memory=2Gi,limits.memory=1900M",
                "the limit of `memory`, `1900M`, is less than the request, `2Gi`",
            ),
        ] {
            assert_eq!(said(text), error, "{text}");
        }
    }
}
