"""Document 002's client service: its seven methods, by its names and by Python's.

Answers are in document 002's wrapper: {success, data, message}, lists with `pagination`.
"""

from __future__ import annotations

from typing import Any, TypedDict, TypeVar

from hilum_client import calls, models
from hilum_client.call import Call

T = TypeVar("T")
ANY = "*"  # If-Match of who changes whatever stands there


class IntegrationFilters(TypedDict, total=False):
    type: Any
    status: Any
    provider: str
    search: str
    page: int
    limit: int


class Service:
    """For a hub that blocks."""

    def __call__(self, call: Call[T]) -> T:
        raise NotImplementedError

    def create_integration(self, data: models.CreateConfigBody) -> models.WrappedIntegration:
        return self(calls.create_config(data))

    def get_integrations(self, filters: IntegrationFilters | None = None) -> models.WrappedList:
        return self(calls.list_configs(**(filters or {})))

    def get_integration_by_id(self, id: str) -> models.WrappedIntegration:
        return self(calls.read_config(id))

    def update_integration(
        self, id: str, data: models.ChangeConfigBody, if_match: str = ANY
    ) -> models.WrappedIntegration:
        """`if_match`: the ETag that was read; without it the newest version is changed, as document 002 has it."""
        return self(calls.change_config(id, data, if_match=if_match))

    def delete_integration(self, id: str) -> models.WrappedIntegration:
        return self(calls.delete_config(id))

    def test_connection(self, id: str) -> models.WrappedTestResult | models.WrappedJobState:
        return self(calls.run_config_test(id))

    def get_stats(self) -> models.WrappedStatistics:
        return self(calls.read_config_stats())

    createIntegration = create_integration
    getIntegrations = get_integrations
    getIntegrationById = get_integration_by_id
    updateIntegration = update_integration
    deleteIntegration = delete_integration
    testConnection = test_connection
    getStats = get_stats


class AsyncService:
    """For one that does not."""

    async def __call__(self, call: Call[T]) -> T:
        raise NotImplementedError

    async def create_integration(self, data: models.CreateConfigBody) -> models.WrappedIntegration:
        return await self(calls.create_config(data))

    async def get_integrations(self, filters: IntegrationFilters | None = None) -> models.WrappedList:
        return await self(calls.list_configs(**(filters or {})))

    async def get_integration_by_id(self, id: str) -> models.WrappedIntegration:
        return await self(calls.read_config(id))

    async def update_integration(
        self, id: str, data: models.ChangeConfigBody, if_match: str = ANY
    ) -> models.WrappedIntegration:
        """`if_match`: the ETag that was read; without it the newest version is changed, as document 002 has it."""
        return await self(calls.change_config(id, data, if_match=if_match))

    async def delete_integration(self, id: str) -> models.WrappedIntegration:
        return await self(calls.delete_config(id))

    async def test_connection(self, id: str) -> models.WrappedTestResult | models.WrappedJobState:
        return await self(calls.run_config_test(id))

    async def get_stats(self) -> models.WrappedStatistics:
        return await self(calls.read_config_stats())

    createIntegration = create_integration
    getIntegrations = get_integrations
    getIntegrationById = get_integration_by_id
    updateIntegration = update_integration
    deleteIntegration = delete_integration
    testConnection = test_connection
    getStats = get_stats
