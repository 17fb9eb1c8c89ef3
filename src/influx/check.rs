//! Proves a connection before it is needed, and makes a bucket.

use influxdb2::RequestError;
use influxdb2::api::buckets::ListBucketsRequest;
use influxdb2::models::{PostBucketRequest, RetentionRule};

use super::{InfluxError, Server, WriteError, causes, message};
use crate::config::influx::Influx;

const TOKEN_REMEDY: &str = "put a token that may read and write the bucket into INFLUX_TOKEN";
const STATE_REMEDY: &str = "see the server's log";

impl Server {
    /// Proves server, organisation, bucket and token; the bucket is written to without leaving anything in it.
    pub async fn prove(&self) -> Result<String, InfluxError> {
        let Influx { url, org, bucket, .. } = &self.target;
        self.client.ready().await.map_err(|error| self.told(error, STATE_REMEDY))?;
        let health = self.client.health().await.map_err(|error| self.told(error, STATE_REMEDY))?;
        if self.bucket_id().await?.is_none() {
            return Err(InfluxError::NoBucket { org: org.clone(), bucket: bucket.clone() });
        }
        // A write without a line is checked like any other.
        match self.write(Vec::new()).await {
            // 2.7 calls an empty body invalid once organisation, bucket and permission have passed.
            Ok(()) | Err(WriteError::Refused { status: 400, .. }) => {}
            Err(WriteError::Later(detail) | WriteError::TooLarge(detail)) => {
                return Err(InfluxError::Unreachable { url: url.clone(), detail });
            }
            Err(WriteError::Refused { status, detail, .. } | WriteError::Forbidden { status, detail }) => {
                return Err(InfluxError::Answer { url: url.clone(), status, detail, remedy: TOKEN_REMEDY });
            }
        }
        let version = health.version.unwrap_or_default();
        Ok(format!("{url} {version}, organisation {org}, bucket {bucket}: may be written"))
    }

    /// Makes the bucket; what is older than `retention_s` seconds goes, 0 keeps all.
    pub async fn create_bucket(&self, retention_s: u64) -> Result<String, InfluxError> {
        let Influx { org, bucket, .. } = &self.target;
        if self.bucket_id().await?.is_some() {
            return Ok(format!("bucket {bucket} is there already; it was left as it is"));
        }
        let rules = match i32::try_from(retention_s) {
            Ok(0) => Vec::new(),
            seconds => vec![RetentionRule::new(influxdb2::models::retention_rule::Type::Expire, seconds.unwrap_or(i32::MAX))],
        };
        let org_id = self.organisation_id().await?;
        let request = PostBucketRequest { retention_rules: rules, ..PostBucketRequest::new(org_id, bucket.clone()) };
        self.client.create_bucket(Some(request)).await.map_err(|error| self.told(error, TOKEN_REMEDY))?;
        Ok(format!("bucket {bucket} made in organisation {org}"))
    }

    async fn organisation_id(&self) -> Result<String, InfluxError> {
        let Influx { url, org, .. } = &self.target;
        let missing = || InfluxError::NoOrganisation { url: url.clone(), org: org.clone() };
        let found = self
            .client
            .list_organizations(influxdb2::api::organization::ListOrganizationRequest { org: Some(org.clone()), ..Default::default() })
            .await;
        let found = match found {
            Err(RequestError::Http { status, .. }) if status == reqwest::StatusCode::NOT_FOUND => return Err(missing()),
            other => other.map_err(|error| self.told(error, TOKEN_REMEDY))?,
        };
        found.orgs.into_iter().find(|found| found.name == *org).and_then(|found| found.id).ok_or_else(missing)
    }

    async fn bucket_id(&self) -> Result<Option<String>, InfluxError> {
        let org_id = self.organisation_id().await?;
        let wanted = ListBucketsRequest { name: Some(self.target.bucket.clone()), org_id: Some(org_id), ..ListBucketsRequest::default() };
        match self.client.list_buckets(Some(wanted)).await {
            Ok(found) => Ok(found.buckets.into_iter().find(|bucket| bucket.name == self.target.bucket).and_then(|bucket| bucket.id)),
            Err(RequestError::Http { status, .. }) if status == reqwest::StatusCode::NOT_FOUND => Ok(None),
            Err(error) => Err(self.told(error, TOKEN_REMEDY)),
        }
    }

    fn told(&self, error: RequestError, remedy: &'static str) -> InfluxError {
        let url = self.target.url.clone();
        match error {
            RequestError::Http { status, text } => {
                let forbidden = [reqwest::StatusCode::UNAUTHORIZED, reqwest::StatusCode::FORBIDDEN].contains(&status);
                let remedy = if forbidden { TOKEN_REMEDY } else { remedy };
                InfluxError::Answer { url, status: status.as_u16(), detail: message(&text), remedy }
            }
            other => InfluxError::Unreachable { url, detail: causes(&other) },
        }
    }
}
